package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"time"
)

// file is a file of the image, by its path without the slash in front.
type file struct {
	path    string
	mode    int64
	content []byte
}

// epoch is when everything in the image was made: the same for all builds.
var epoch = time.Unix(0, 0).UTC() //nolint:gochecknoglobals // a constant

// writeTar writes files, and the directories that they are in, in the order of their names.
func writeTar(files []file) ([]byte, error) {
	dirs := map[string]bool{".": true}
	var all []file
	for _, f := range files {
		for dir := path.Dir(f.path); !dirs[dir]; dir = path.Dir(dir) {
			dirs[dir] = true
			all = append(all, file{path: dir + "/", mode: 0o755})
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b file) int { return bytes.Compare([]byte(a.path), []byte(b.path)) })
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range all {
		kind := byte(tar.TypeReg)
		if f.content == nil {
			kind = tar.TypeDir
		}
		err := w.WriteHeader(&tar.Header{
			Typeflag: kind, Name: f.path, Mode: f.mode, Size: int64(len(f.content)), ModTime: epoch, Format: tar.FormatUSTAR,
		})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// descriptor is how an OCI manifest names a blob:
// https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md
type descriptor struct {
	MediaType string    `json:"mediaType"`
	Digest    string    `json:"digest"`
	Size      int       `json:"size"`
	Platform  *platform `json:"platform,omitempty"`
	// Annotations name the image for those who load it.
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// archive returns the image as an OCI layout in a tar, which is an archive of docker save as well, and the digest of its
// manifest.
func (b build) archive(files []file) (image []byte, digest string, err error) {
	layer, err := writeTar(files)
	if err != nil {
		return nil, "", err
	}
	packed, err := compressed(layer)
	if err != nil {
		return nil, "", err
	}
	l := layout{}
	layerBlob := l.blob("application/vnd.oci.image.layer.v1.tar+gzip", packed)
	config := l.json("application/vnd.oci.image.config.v1+json", map[string]any{
		"created": epoch.Format(time.RFC3339), "architecture": b.arch, "os": "linux",
		"config": map[string]any{
			"User": "65532:65532", "Entrypoint": []string{"/postrider"}, "WorkingDir": "/", "StopSignal": "SIGTERM",
			"ExposedPorts": map[string]any{"8070/tcp": struct{}{}, "9464/tcp": struct{}{}},
			"Env":          []string{"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
			"Labels":       labels(),
		},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{digestOf(layer)}},
		"history": []map[string]any{{"created": epoch.Format(time.RFC3339), "created_by": "deploy/image"}},
	})
	manifest := l.json("application/vnd.oci.image.manifest.v1+json", map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []descriptor{layerBlob},
		"annotations": labels(),
	})
	manifest.Platform = &platform{Architecture: b.arch, OS: "linux"}
	manifest.Annotations = map[string]string{"io.containerd.image.name": b.tag, "org.opencontainers.image.ref.name": "local"}
	l.file("oci-layout", map[string]any{"imageLayoutVersion": "1.0.0"})
	l.file("index.json", map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []descriptor{manifest},
	})
	l.file("manifest.json", []map[string]any{{
		"Config": blobPath(config.Digest), "RepoTags": []string{b.tag}, "Layers": []string{blobPath(layerBlob.Digest)},
	}})
	if l.err != nil {
		return nil, "", l.err
	}
	image, err = writeTar(l.files)
	return image, manifest.Digest, err
}

// labels are those of https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md.
func labels() map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":       "postrider",
		"org.opencontainers.image.description": "Carries events from Kafka to the HTTPS endpoints of whoever subscribed to them",
		"org.opencontainers.image.source":      "https://github.com/postrider/postrider",
		"org.opencontainers.image.licenses":    "Apache-2.0",
	}
}

// layout collects the files of an OCI layout and keeps the first error.
type layout struct {
	files []file
	err   error
}

func (l *layout) blob(mediaType string, content []byte) descriptor {
	d := descriptor{MediaType: mediaType, Digest: digestOf(content), Size: len(content)}
	l.files = append(l.files, file{blobPath(d.Digest), 0o644, content})
	return d
}

func (l *layout) json(mediaType string, v any) descriptor { return l.blob(mediaType, l.encode(v)) }

func (l *layout) file(name string, v any) { l.files = append(l.files, file{name, 0o644, l.encode(v)}) }

func (l *layout) encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil && l.err == nil {
		l.err = err
	}
	return text
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func blobPath(digest string) string { return fmt.Sprintf("blobs/sha256/%s", digest[len("sha256:"):]) }

func compressed(content []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}
