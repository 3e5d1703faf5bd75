package clients

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/configs"
	"github.com/postrider/postrider/pkg/portal"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/test/internal/node"
)

// shown runs a snippet that the portal shows. Its program reads requests, one a line: secret, body in base64, and headers as
// name=value, with tabs between; it prints true or false for each.
type shown struct {
	file    string
	source  func(snippet string) string
	program func(ctx context.Context) ([]string, []string, error) // with its environment
}

func found(name, debianPackage string) func(context.Context) ([]string, []string, error) {
	return func(ctx context.Context) ([]string, []string, error) {
		program, err := node.Program(ctx, name, debianPackage)
		return []string{program}, nil, err
	}
}

// shownSnippets are how the languages are run. There is no C# in Debian: those snippets are read by people alone.
var shownSnippets = map[string]shown{
	"go": {
		file: "main.go",
		source: func(snippet string) string {
			return "package main\n\n" + snippet + `
func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		header := http.Header{}
		for _, f := range fields[2:] {
			name, value, _ := strings.Cut(f, "=")
			header.Set(name, value)
		}
		body, _ := base64.StdEncoding.DecodeString(fields[1])
		fmt.Println(verify(fields[0], header, body))
	}
}
`
		},
		program: func(context.Context) ([]string, []string, error) { return []string{"go", "run"}, os.Environ(), nil },
	},
	"js": {
		file: "main.mjs",
		source: func(snippet string) string {
			return snippet + `
import { readFileSync } from "node:fs";
for (const line of readFileSync(0, "utf8").trimEnd().split("\n")) {
  const [secret, body, ...headers] = line.split("\t");
  const pairs = headers.map((h) => [h.slice(0, h.indexOf("=")), h.slice(h.indexOf("=") + 1)]);
  console.log(verify(secret, Object.fromEntries(pairs), Buffer.from(body, "base64")));
}
`
		},
		program: func(ctx context.Context) ([]string, []string, error) {
			c, err := installJavaScript(ctx)
			return []string{c.program}, nil, err
		},
	},
	"python": {
		file: "main.py",
		source: func(snippet string) string {
			return snippet + `
import base64, sys
for line in sys.stdin:
    secret, body, *headers = line.rstrip("\n").split("\t")
    print(str(verify(secret, dict(h.split("=", 1) for h in headers), base64.b64decode(body))).lower())
`
		},
		program: func(ctx context.Context) ([]string, []string, error) {
			c, err := installPython(ctx)
			return []string{c.program}, append(os.Environ(), "PYTHONPATH="+c.directory), err
		},
	},
	"java": {
		file: "Main.java",
		source: func(snippet string) string {
			// What is run is the first class of a file.
			imports, class, _ := strings.Cut(snippet, "\nclass ")
			return imports + `
class Main {
  public static void main(String[] none) throws Exception {
    for (String line : new String(System.in.readAllBytes()).split("\n")) {
      String[] fields = line.split("\t");
      Map<String, String> headers = new java.util.HashMap<>();
      for (int i = 2; i < fields.length; i++) headers.put(fields[i].split("=", 2)[0], fields[i].split("=", 2)[1]);
      System.out.println(Verifier.verify(fields[0], headers, java.util.Base64.getDecoder().decode(fields[1])));
    }
  }
}

class ` + class
		},
		program: func(ctx context.Context) ([]string, []string, error) {
			_, err := node.Program(ctx, "javac", "openjdk-17-jdk-headless") // java alone may be one that compiles nothing
			return []string{"java"}, nil, err
		},
	},
	"php": {
		file: "main.php",
		source: func(snippet string) string {
			return "<?php\n" + snippet + `
while (($line = fgets(STDIN)) !== false) {
    $fields = explode("\t", rtrim($line, "\n"));
    $headers = [];
    foreach (array_slice($fields, 2) as $field) {
        [$name, $value] = explode('=', $field, 2);
        $headers[$name] = $value;
    }
    echo verify($fields[0], $headers, base64_decode($fields[1])) ? "true\n" : "false\n";
}
`
		},
		program: found("php", "php-cli"),
	},
	"ruby": {
		file: "main.rb",
		source: func(snippet string) string {
			return snippet + `
STDIN.each_line(chomp: true) do |line|
  secret, body, *headers = line.split("\t")
  puts verify(secret, headers.to_h { |h| h.split("=", 2) }, body.unpack1("m"))
end
`
		},
		program: found("ruby", "ruby"),
	},
}

// importsOfGo are what the program needs beside what the snippet imports.
var importsOfGo = []string{"bufio", "encoding/base64", "fmt", "net/http", "os", "strings"}

// The code that the portal shows to who verifies requests accepts what Postrider sends, and nothing else.
func TestSnippetsOfThePortal(t *testing.T) {
	for language, how := range shownSnippets {
		for _, signature := range []string{"standard", "svix", "dixa"} {
			t.Run(signature+" in "+language, func(t *testing.T) {
				snippet, err := portal.SnippetFor(signature, language)
				require.NoError(t, err)
				require.NotContains(t, snippet.Code, "{{")
				requests := presentRequests(t, signature)
				got := how.run(t, snippet.Code, requests)
				require.Len(t, got, len(requests))
				for i, r := range requests {
					require.Equal(t, fmt.Sprint(r.good), got[i], r.what)
				}
			})
		}
	}
	for _, signature := range []string{"standard", "svix", "dixa"} {
		_, err := portal.SnippetFor(signature, "csharp")
		require.NoError(t, err)
	}
	_, err := portal.SnippetFor("template", "go")
	require.ErrorContains(t, err, "no snippet")
}

func (s shown) run(t *testing.T, snippet string, requests []request) []string {
	t.Helper()
	if s.file == "main.go" {
		for _, name := range importsOfGo {
			if line := fmt.Sprintf("\t%q\n", name); !strings.Contains(snippet, line) {
				snippet = strings.Replace(snippet, "import (\n", "import (\n"+line, 1)
			}
		}
	}
	directory := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	program, environ, err := s.program(ctx)
	require.NoError(t, err)
	file := filepath.Join(directory, s.file)
	require.NoError(t, os.WriteFile(file, []byte(s.source(snippet)), 0o600))
	if s.file == "main.mjs" { // whose imports are looked for beside the file
		c, err := installJavaScript(ctx)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(filepath.Join(c.directory, "node_modules"), filepath.Join(directory, "node_modules")))
	}
	var input strings.Builder
	for _, r := range requests {
		fields := []string{r.Secret, base64.StdEncoding.EncodeToString(r.Body)}
		for name, value := range r.Headers {
			fields = append(fields, name+"="+value)
		}
		input.WriteString(strings.Join(fields, "\t") + "\n")
	}
	cmd := exec.CommandContext(ctx, program[0], append(program[1:], file)...)
	cmd.Stdin, cmd.Stderr, cmd.Env = strings.NewReader(input.String()), os.Stderr, environ
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.Fields(string(out))
}

// presentRequests are requests of now, with the profiles whose signature it is: good ones, and each of them changed.
func presentRequests(t *testing.T, signature string) (all []request) {
	t.Helper()
	set, err := profile.Load(configs.Profiles)
	require.NoError(t, err)
	for _, name := range set.Names() {
		p, _ := set.Get(name)
		if p.Signature != signature {
			continue
		}
		now := time.Now()
		for what, at := range map[string]time.Time{"": now, "six minutes old": now.Add(-6 * time.Minute), "six minutes early": now.Add(6 * time.Minute)} {
			r := requestOf(t, p, at)
			r.what, r.good = name+" "+what, what == ""
			all = append(all, r)
		}
		good := requestOf(t, p, now)
		for what, change := range map[string]func(*request){
			"another body":   func(r *request) { r.Body = append([]byte(" "), r.Body...) },
			"another secret": func(r *request) { r.Secret, err = p.Scheme().NewSecret() },
			"no headers":     func(r *request) { r.Headers = map[string]string{"x": "y"} },
		} {
			bad := good
			change(&bad)
			require.NoError(t, err)
			bad.what, bad.good = name+", "+what, false
			all = append(all, bad)
		}
	}
	require.NotEmpty(t, all)
	return all
}
