package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	shellBlock = regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```$")
	// ofPostrider finds the arguments of the program in a line of shell, up to what the shell does with them.
	ofPostrider = regexp.MustCompile(`(?:^|[ |($/])postrider ((?:'[^']*'|[^|)<>&#'])+)`)
	argument    = regexp.MustCompile(`'[^']*'|\S+`)
)

// Every command that a README tells people to run is one, with flags that it has.
func TestCommandsOfReadmesExist(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"../../README.md", "../../deploy/helm/README.md"} {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		found := 0
		for _, block := range shellBlock.FindAllStringSubmatch(string(text), -1) {
			for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
				for _, command := range ofPostrider.FindAllStringSubmatch(line, -1) {
					if strings.HasPrefix(command[1], "deploy/") { // helm install postrider CHART
						continue
					}
					var args []string
					for _, a := range argument.FindAllString(command[1], -1) {
						args = append(args, strings.Trim(a, "'"))
					}
					found++
					cmd, rest, err := newRootCmd().Find(args)
					require.NoError(t, err, "%s: %s", path, line)
					require.NoError(t, cmd.ParseFlags(rest), "%s: %s", path, line)
					require.NoError(t, cmd.ValidateArgs(cmd.Flags().Args()), "%s: %s", path, line)
				}
			}
		}
		require.Greater(t, found, 5, "%s: commands", path)
	}
}
