package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/configs"
	"github.com/postrider/postrider/pkg/profile"
)

// attested is a request for a library to verify.
type attested struct {
	request
	Library string `json:"library"`
}

// The official libraries in other languages accept what the profiles send, and refuse it when any byte of what is signed, or of
// the signature, is another. (Those in Go are asked in pkg/sign and pkg/profile.)
func TestLibrariesVerify(t *testing.T) {
	for language, install := range map[string]func(context.Context) (client, error){
		"javascript": installJavaScript, "python": installPython,
	} {
		t.Run(language, func(t *testing.T) {
			c, err := install(t.Context())
			require.NoError(t, err)
			program := map[string]string{"javascript": "verify.mjs", "python": "verify.py"}[language]
			all := attestedRequests(t) // their libraries know no clock but the system's
			got := attest(t, c, filepath.Join(language, program), all)
			require.Len(t, got, len(all))
			good := 0
			for i, r := range all {
				require.Equal(t, r.good, got[i] == "true", "%s, %s", r.Library, r.what)
				if r.good {
					good++
				}
			}
			require.Equal(t, 4*2+3, good, "four profiles with webhook- headers, three with svix- headers")
		})
	}
}

// attestedRequests are requests of every profile that signs as Standard Webhooks do, and each with one byte changed.
func attestedRequests(t *testing.T) (all []attested) {
	t.Helper()
	set, err := profile.Load(configs.Profiles)
	require.NoError(t, err)
	for _, name := range set.Names() {
		p, _ := set.Get(name)
		libraries := map[string][]string{"standard": {"standardwebhooks", "svix"}, "svix": {"svix"}}[p.Signature]
		if len(libraries) == 0 {
			continue
		}
		good := requestOf(t, p, time.Now())
		good.what = name
		requests := append([]request{good}, changed(good, p.Signature)...)
		for _, library := range libraries {
			for _, r := range requests {
				all = append(all, attested{r, library})
			}
		}
	}
	return all
}

// changed returns a request as often as it has bytes that count, each time with another of them changed.
func changed(good request, scheme string) (all []request) {
	prefix := map[string]string{"standard": "webhook-", "svix": "svix-"}[scheme]
	for i := range good.Body {
		bad := good
		bad.good, bad.what, bad.Body = false, good.what+": body", bytes.Clone(good.Body)
		bad.Body[i] ^= 4
		all = append(all, bad)
	}
	// Of the signatures, the first one: the others are of other secrets.
	signature, _, _ := strings.Cut(good.Headers[prefix+"signature"], " ")
	for name, value := range map[string]string{
		prefix + "id": good.Headers[prefix+"id"], prefix + "timestamp": good.Headers[prefix+"timestamp"], prefix + "signature": signature,
	} {
		for i := range value {
			bad := good
			bad.good, bad.what, bad.Headers = false, good.what+": "+name, maps.Clone(good.Headers)
			text := []byte(value)
			text[i] ^= 4 // the 4 because the lowest bits of the last digit of a signature mean nothing
			bad.Headers[name] = string(text)
			all = append(all, bad)
		}
	}
	return all
}

// attest runs a program once for all.
func attest(t *testing.T, c client, program string, all []attested) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programLimit)
	defer cancel()
	var in, problems bytes.Buffer
	for _, r := range all {
		require.NoError(t, json.NewEncoder(&in).Encode(r))
	}
	cmd := exec.CommandContext(ctx, c.program, program)
	cmd.Env = append(os.Environ(), "POSTRIDER_CLIENT="+c.directory, "PYTHONPATH="+c.directory, "PYTHONDONTWRITEBYTECODE=1")
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdin, cmd.Stderr = &in, &problems
	out, err := cmd.Output()
	require.NoError(t, errors.Join(err, ctx.Err()), "%s", &problems)
	return strings.Fields(string(out))
}
