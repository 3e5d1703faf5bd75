package portal

import (
	"net/http"
	"strconv"

	"github.com/postrider/postrider/pkg/api"
)

// secretPage is what the page of the signing secret shows.
type secretPage struct {
	// Key is the secret, if it is shown; New says that it has just been made.
	Key       string
	Keys      []api.SigningKeyOut
	Signature string
	Snippet   Snippet
	Languages []choice
	Created   bool
	// Networks are those that requests come from; none if the operator published none.
	Networks []string
}

// showSecret shows which secrets sign, and how to verify; right after it was made also the secret itself.
func (v *visit) showSecret() error {
	done := v.r.URL.Query().Get("done")
	return v.secret(http.StatusOK, done == "created" || done == "rotated", done)
}

// revealSecret shows the secret to who asks for it.
func (v *visit) revealSecret() error { return v.secret(http.StatusOK, true, "") }

func (v *visit) secret(status int, reveal bool, done string) error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	out := secretPage{Created: done == "created"}
	var keys api.SigningKeysOut
	if err := v.calls.get(v.endpointPath("signing-keys"), &keys); err != nil {
		return err
	}
	out.Keys = keys.Data
	if reveal {
		var key api.EndpointSecretOut
		if err := v.calls.get(v.endpointPath("secret"), &key); err != nil {
			return err
		}
		out.Key = key.Key
	}
	if out.Signature, err = v.signature(e.Effective.Profile); err != nil {
		return err
	}
	var from api.SourceIPsOut
	if err := v.calls.get("/source-ips", &from); err != nil {
		return err
	}
	out.Networks = from.Networks
	out.choose(v.r.FormValue("language"))
	e.More = out
	v.show(status, "secret", &page{Title: "Signing secret", Data: e, Done: done})
	return nil
}

// choose has the snippet of a language, of the first one if there is no such.
func (out *secretPage) choose(language string) {
	var err error
	if out.Snippet, err = SnippetFor(out.Signature, language); err != nil {
		out.Snippet, _ = SnippetFor(out.Signature, Languages()[0])
	}
	for _, l := range Languages() {
		out.Languages = append(out.Languages, choice{l, languageNames[l], l == out.Snippet.Language})
	}
}

// signature is the form of signatures under a profile.
func (v *visit) signature(profile string) (string, error) {
	var profiles api.ProfilesOut
	if err := v.calls.get("/profile", &profiles); err != nil {
		return "", err
	}
	for _, p := range profiles.Data {
		if p.Name == profile {
			return p.Signature, nil
		}
	}
	return "", nil
}

// rotateSecret replaces the secret; the old one signs as well for the time that the form says.
func (v *visit) rotateSecret() error {
	grace, err := strconv.Atoi(v.r.PostForm.Get("grace"))
	if err != nil {
		return &Refusal{Status: http.StatusUnprocessableEntity, Code: "invalid", Detail: "Choose how long the old secret signs as well."}
	}
	if _, err := v.calls.do(http.MethodPost, v.endpointPath("secret", "rotate"), map[string]any{"gracePeriodSeconds": grace}, nil); err != nil {
		return err
	}
	return v.redirect(v.endpointPath("secret") + "?done=rotated")
}
