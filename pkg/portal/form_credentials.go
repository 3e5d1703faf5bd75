package portal

import (
	"cmp"
	"strings"

	"github.com/postrider/postrider/pkg/api"
)

// showCredentials fills in what is shown of credentials: what is secret is typed again or stays.
func (f *endpointForm) showCredentials(s api.SettingsOut) {
	if o := s.OAuth; o != nil {
		f.set("oauth_grant", o.GrantType, "oauth_method", o.AuthMethod, "oauth_client", o.ClientID, "oauth_url", o.TokenURL,
			"oauth_scopes", strings.Join(o.Scopes, " "))
	}
	f.set("server_ca", s.ServerCA, "encryption", s.EncryptionScheme)
	f.Identity = s.ClientIdentity
}

// credentials adds to a body what the form says of them. A form that was shown to who may not manage secrets has none, and then
// they stay.
func (f *endpointForm) credentials(out map[string]any) {
	f.authorization(out)
	v := f.Values
	if v["credentials"] == "" {
		return
	}
	switch {
	case v["identity"] != "":
		out["clientIdentity"] = v["identity"] + "\n"
	case v["identity_away"] != "":
		out["clientIdentity"] = nil
	}
	existing := f.ID != ""
	if v["server_ca"] != "" {
		out["serverCa"] = v["server_ca"] + "\n"
	} else if existing {
		out["serverCa"] = nil
	}
	if v["encryption"] != "" {
		out["encryption"] = without("", map[string]any{"scheme": v["encryption"], "key": v["encryption_key"]})
	} else if existing {
		out["encryption"] = nil
	}
}

// authorization is one of those that there are; an access token is sent in place of all others, so that they end it.
func (f *endpointForm) authorization(out map[string]any) {
	v, existing := f.Values, f.ID != ""
	switch v["auth"] {
	case "none":
		if existing {
			out["authorization"], out["oauth"] = nil, nil
		}
		return
	case "basic":
		out["authorization"] = map[string]any{"basic": map[string]any{"username": v["username"], "password": v["password"]}}
	case "token":
		out["authorization"] = map[string]any{"token": v["token"]}
	case "oauth":
		config := without("", map[string]any{"clientSecret": v["oauth_secret"], "refreshToken": v["oauth_refresh"]})
		config["grantType"] = cmp.Or(v["oauth_grant"], "clientCredentials")
		config["authMethod"] = cmp.Or(v["oauth_method"], "clientSecretBasic")
		config["clientId"], config["tokenUrl"] = v["oauth_client"], v["oauth_url"]
		if scopes := words(v["oauth_scopes"]); len(scopes) > 0 {
			config["scopes"] = scopes
		}
		if v["oauth_key"] != "" {
			config["jwtParams"] = map[string]any{"secretBase64": v["oauth_key"], "signingAlgorithm": "RS256"}
		}
		out["oauth"] = config
		return
	default:
		return
	}
	if existing {
		out["oauth"] = nil
	}
}

// without is a map without the members that have a value.
func without(value any, of map[string]any) map[string]any {
	for name, v := range of {
		if v == value {
			delete(of, name)
		}
	}
	return of
}

// metadata are the lines of the form, each a name and a value.
func (f *endpointForm) metadata() map[string]string {
	out := map[string]string{}
	for line := range strings.SplitSeq(f.Values["metadata"], "\n") {
		name, v, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); name == "" && strings.TrimSpace(v) == "" {
			continue
		}
		if !ok || name == "" {
			f.wrong("metadata", "Type a name, an equals sign and a value in each line.")
			continue
		}
		out[name] = strings.TrimSpace(v)
	}
	return out
}

func metadataLines(m map[string]string) string {
	var out []string
	for _, name := range sortedNames(m) {
		out = append(out, name+" = "+m[name])
	}
	return strings.Join(out, "\n")
}
