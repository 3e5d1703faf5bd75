package portal

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed snippets
var snippetFiles embed.FS

// Snippet is code that verifies a signature.
type Snippet struct {
	Language, Code string
}

// Languages are those that there are snippets for.
func Languages() []string { return []string{"go", "js", "python", "java", "csharp", "php", "ruby"} }

var languageNames = map[string]string{ //nolint:gochecknoglobals // a table
	"go": "Go", "js": "JavaScript", "python": "Python", "java": "Java", "csharp": "C#", "php": "PHP", "ruby": "Ruby",
}

// SnippetFor returns the code that verifies signatures of a form: standard, svix or dixa. Where the form has an official
// library that the tests run (Go, JavaScript, Python), the code uses it. The error says that there is none: of a profile with
// a signature of its own only its author knows.
func SnippetFor(signature, language string) (Snippet, error) {
	values := map[string][]string{
		"standard": {
			"{{prefix}}", "webhook", "{{library}}", "standardwebhooks", "{{pymodule}}", "standardwebhooks", "{{gopackage}}", "standardwebhooks",
			"{{gomodule}}", "github.com/standard-webhooks/standard-webhooks/libraries/go",
		},
		"svix": {
			"{{prefix}}", "svix", "{{library}}", "svix", "{{pymodule}}", "svix.webhooks", "{{gopackage}}", "svix", "{{gomodule}}", "github.com/svix/svix-webhooks/go",
		},
		"dixa": {},
	}[signature]
	file := map[string]string{"standard": "standard", "svix": "standard", "dixa": "dixa"}[signature]
	if file == "standard" && (language == "go" || language == "js" || language == "python") {
		file = "library"
	}
	code, err := snippetFiles.ReadFile("snippets/" + file + "." + language + ".txt")
	if err != nil || file == "" {
		return Snippet{Language: language}, fmt.Errorf("no snippet of %q in %q: want standard, svix or dixa in one of %v", signature, language, Languages())
	}
	return Snippet{Language: language, Code: strings.NewReplacer(values...).Replace(string(code))}, nil
}
