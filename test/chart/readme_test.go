package chart

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the README has kubectl and helm do is about objects and values that the chart has.
func TestTheReadmeSpeaksOfWhatThereIs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/helm/README.md")
	require.NoError(t, err)
	named := map[string]bool{}
	for _, o := range render(t, values(t, `fullnameOverride: postrider`)) { // as a release called postrider
		named[o.GetObjectKind().GroupVersionKind().Kind+"/"+o.Name()] = true
	}
	kinds := map[string]string{"deploy": "Deployment", "svc": "Service", "job": "Job"}
	found := regexp.MustCompile(`\b(deploy|svc|job)/(postrider-[a-z-]+)`).FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(found), 3)
	for _, m := range found {
		assert.True(t, named[kinds[m[1]]+"/"+m[2]], "README.md: there is no %s", m[0])
	}
	for _, m := range regexp.MustCompile(`postrider/(values[a-z-]*\.yaml)`).FindAllStringSubmatch(string(text), -1) {
		_, err := os.Stat(Dir + "/" + m[1])
		assert.NoError(t, err)
	}
}
