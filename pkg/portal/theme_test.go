package portal

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever colour is configured, what stands in it and on it can be read (WCAG 2.2, 1.4.3: 4.5 to 1).
func TestAccentsAreReadable(t *testing.T) {
	t.Parallel()
	for _, accent := range []string{"#ffcc00", "#000000", "#ffffff", "#2457d6", "#ff0000", "#00ff00", "#777777", "#E6007E", "#0f172a"} {
		for _, surface := range []string{lightSurface, lightTinted, darkSurface, darkTinted} {
			got := readable(accent, surface)
			require.GreaterOrEqual(t, contrast(got, surface), 4.5, "%s on %s became %s", accent, surface, got)
			require.GreaterOrEqual(t, contrast(on(got), got), 4.5, "text on %s", got)
		}
	}
	require.Equal(t, "#2457d6", readable("#2457d6", lightSurface), "what can be read stays as it is")
	require.InDelta(t, 21, contrast("#000000", "#ffffff"), 0.001)
	require.InDelta(t, 4.54, contrast("#767676", "#ffffff"), 0.01, "the example of everybody's")
}
