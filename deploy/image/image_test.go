package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"debug/elf"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/stretchr/testify/require"
)

// built is the image of this tree, made once.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "postrider-image-test-")
	if err != nil {
		return "", err
	}
	b := build{source: "../..", out: dir, arch: "amd64", tag: "postrider:test"}
	path, _, err := b.run(context.Background()) // of all tests
	return path, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, _ := built(); path != "" {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

func image(t *testing.T) []byte {
	t.Helper()
	path, err := built()
	require.NoError(t, err)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return content
}

// untar returns the files of a tar by name, and the headers of all entries.
func untar(t *testing.T, archive []byte) (map[string][]byte, []*tar.Header) {
	t.Helper()
	files, headers := map[string][]byte{}, []*tar.Header{}
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, headers
		}
		require.NoError(t, err)
		headers = append(headers, h)
		if h.Typeflag == tar.TypeReg {
			files[h.Name], err = io.ReadAll(r)
			require.NoError(t, err)
		}
	}
}

func decode[T any](t *testing.T, text []byte) (v T) {
	t.Helper()
	require.NoError(t, json.Unmarshal(text, &v))
	return v
}

type manifest struct {
	Config descriptor   `json:"config"`
	Layers []descriptor `json:"layers"`
}

// parts are what a runtime takes from the image, by the digests that lead to it.
func parts(t *testing.T) (config map[string]any, root []byte) {
	t.Helper()
	blobs, _ := untar(t, image(t))
	get := func(d descriptor) []byte {
		content := blobs[blobPath(d.Digest)]
		require.Equal(t, d.Digest, digestOf(content))
		require.Len(t, content, d.Size)
		return content
	}
	index := decode[struct {
		Manifests []descriptor `json:"manifests"`
	}](t, blobs["index.json"])
	require.Len(t, index.Manifests, 1)
	m := decode[manifest](t, get(index.Manifests[0]))
	require.Len(t, m.Layers, 1)
	unpacked, err := gzip.NewReader(bytes.NewReader(get(m.Layers[0])))
	require.NoError(t, err)
	root, err = io.ReadAll(unpacked)
	require.NoError(t, err)
	config = decode[map[string]any](t, get(m.Config))
	require.Equal(t, []any{digestOf(root)}, config["rootfs"].(map[string]any)["diff_ids"])
	// The same image for docker load.
	docker := decode[[]struct {
		Config string
		Layers []string
	}](t, blobs["manifest.json"])
	require.Equal(t, blobPath(m.Config.Digest), docker[0].Config)
	require.Equal(t, []string{blobPath(m.Layers[0].Digest)}, docker[0].Layers)
	return config, root
}

func TestTheImageIsSmallAndItsProcessNobody(t *testing.T) {
	require.LessOrEqual(t, len(image(t)), maxBytes)
	t.Logf("%.1f MB", float64(len(image(t)))/1e6)
	config, root := parts(t)
	c := config["config"].(map[string]any)
	require.Equal(t, "65532:65532", c["User"])
	require.Equal(t, []any{"/postrider"}, c["Entrypoint"])
	files, headers := untar(t, root)
	require.Len(t, files, 4)
	for _, h := range headers {
		require.Zero(t, h.Mode&0o022, "%s: its process may write it", h.Name)
		require.Zero(t, h.Mode&0o7000, "%s: bits that give rights", h.Name)
		require.Equal(t, epoch, h.ModTime.UTC(), "%s", h.Name)
	}
	program, err := elf.NewFile(bytes.NewReader(files["postrider"]))
	require.NoError(t, err)
	for _, p := range program.Progs {
		require.NotEqual(t, elf.PT_INTERP, p.Type, "the binary wants a linker that the image does not have")
	}
}

func TestTheImageHasAuthorities(t *testing.T) {
	_, root := parts(t)
	files, _ := untar(t, root)
	rest, n := files["etc/ssl/certs/ca-certificates.crt"], 0
	for block, next := pem.Decode(rest); block != nil; block, next = pem.Decode(next) {
		c, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		require.True(t, c.IsCA, "%s", c.Subject)
		n++
	}
	require.Greater(t, n, 80)
}

func TestTheBillListsWhatIsInTheBinary(t *testing.T) {
	_, root := parts(t)
	files, _ := untar(t, root)
	bom := &cyclonedx.BOM{}
	require.NoError(t, cyclonedx.NewBOMDecoder(bytes.NewReader(files["usr/share/doc/postrider/sbom.cdx.json"]), cyclonedx.BOMFileFormatJSON).Decode(bom))
	require.Equal(t, strings.TrimPrefix(digestOf(files["postrider"]), "sha256:"), (*bom.Metadata.Component.Hashes)[0].Value)
	listed := map[string]string{}
	for _, c := range *bom.Components {
		require.Empty(t, listed[c.Name], "%s twice", c.Name)
		listed[c.Name] = c.Version
		if c.Name != "std" {
			require.Len(t, *c.Hashes, 1, "%s", c.Name)
		}
	}
	// What the go command says of the same packages.
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags=timetzdata", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}", "./cmd/postrider")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	out, err := cmd.Output()
	require.NoError(t, err)
	want := map[string]string{"std": listed["std"], rootsModule: listed[rootsModule]}
	require.NotEmpty(t, want["std"])
	require.NotEmpty(t, want[rootsModule])
	for line := range strings.Lines(string(out)) {
		if path, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			want[path] = version
		}
	}
	require.Equal(t, want, listed)
}

// Elsewhere, at another time, by a user with another umask and time zone.
func TestBuiltTwiceTheImageIsTheSame(t *testing.T) {
	dir := t.TempDir()
	for _, part := range []string{"go.mod", "go.sum", "cmd", "pkg", "topics", "configs"} {
		from := filepath.Join("../..", part)
		if info, err := os.Stat(from); err == nil && info.IsDir() {
			require.NoError(t, os.CopyFS(filepath.Join(dir, part), os.DirFS(from)))
			continue
		}
		content, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, part), content, 0o600))
	}
	b := build{
		source: dir, out: filepath.Join(dir, "out"), arch: "amd64", tag: "postrider:test",
		env: []string{"TZ=Asia/Tokyo", "LANG=C", "GOFLAGS=-p=1", "GOAMD64=v1"},
	}
	path, _, err := b.run(t.Context())
	require.NoError(t, err)
	again, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, digestOf(image(t)), digestOf(again))
}

// In nothing but the image, as the user of the image.
func TestTheImageRuns(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to change the root directory")
	}
	_, root := parts(t)
	files, _ := untar(t, root)
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		require.NoError(t, os.Chmod(d, 0o755))
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, content, 0o755))
	}
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "/postrider", args...)
		cmd.Dir = "/"
		cmd.Env = []string{"TZ=America/New_York"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run("--help")
	require.NoError(t, err, "%s", out)
	require.Contains(t, out, "Postrider carries domain events")
	out, err = run("router", "--kafka-brokers=127.0.0.1:1")
	require.Error(t, err)
	require.Contains(t, out, "kafka.brokers: [127.0.0.1:1] cannot be reached")
}
