package portal

import (
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Theme is whose portal it looks like. The zero value is Postrider's.
type Theme struct {
	// Name stands in the header and in titles.
	Name string
	// Logo is an image: a data: URL (of PNG, JPEG, WebP or SVG), or the https URL of one; none if empty.
	Logo string
	// Accent is the colour of buttons and links, as in #1f6feb. Where it could not be read it is made darker or lighter.
	Accent string
}

const (
	defaultName   = "Webhooks"
	defaultAccent = "#2457d6"
)

var (
	colorForm = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
	imageForm = regexp.MustCompile(`^data:image/(png|jpeg|webp|svg\+xml)(;base64)?,[A-Za-z0-9+/=%._~-]+$`)
)

// maxLogo bounds a logo that stands in every page, in bytes.
const maxLogo = 128 << 10

// Validate says which field is wrong and what it allows.
func (t Theme) Validate() error {
	var errs []error
	if len(t.Name) > 80 || strings.ContainsAny(t.Name, "\r\n") {
		errs = append(errs, errors.New("name: want at most 80 bytes in one line"))
	}
	if t.Accent != "" && !colorForm.MatchString(t.Accent) {
		errs = append(errs, fmt.Errorf("accent: %q: want a colour such as %s", t.Accent, defaultAccent))
	}
	if t.Logo != "" && t.logoOrigin() == "" && (len(t.Logo) > maxLogo || !imageForm.MatchString(t.Logo)) {
		errs = append(errs, fmt.Errorf("logo: want an https URL, or data:image/… of PNG, JPEG, WebP or SVG, at most %d bytes", maxLogo))
	}
	return errors.Join(errs...)
}

// Title is the name, or that of a portal without one.
func (t Theme) Title() string { return cmp.Or(t.Name, defaultName) }

// Image is the logo's URL. [Theme.Validate] has let it through.
func (t Theme) Image() template.URL { return template.URL(t.Logo) } //nolint:gosec // see above

// logoOrigin is the origin that the logo comes from, empty unless it is an https URL.
func (t Theme) logoOrigin() string {
	u, err := url.Parse(t.Logo)
	if err != nil || u.Scheme != "https" || u.Host == "" || strings.ContainsAny(u.Host, "; ,'\"") {
		return ""
	}
	return "https://" + u.Host
}

// Surfaces that the accent stands on, and the contrast that text needs there (WCAG 2.2, 1.4.3).
const (
	lightSurface = "#ffffff"
	lightTinted  = "#eef1f6"
	darkSurface  = "#1b2028"
	darkTinted   = "#262d38"
	textContrast = 4.6
)

// style is the part of the style sheet that the theme makes.
func (t Theme) style() string {
	accent := cmp.Or(t.Accent, defaultAccent)
	light, dark := readable(readable(accent, lightSurface), lightTinted), readable(readable(accent, darkSurface), darkTinted)
	rule := func(of, accent string) string {
		return fmt.Sprintf("%s { --accent: %s; --on-accent: %s; }", of, accent, on(accent))
	}
	return rule(":root", light) + "\n@media (prefers-color-scheme: dark) { " + rule(`:root:not([data-look="light"])`, dark) + " }\n" +
		rule(`:root[data-look="dark"]`, dark) + "\n"
}

// readable returns the colour, moved towards black or white until it has enough contrast to the surface.
func readable(color, surface string) string {
	towards := 0.0
	if luminance(surface) < 0.5 {
		towards = 255
	}
	c := rgb(color)
	for range 40 {
		if contrast(colorOf(c), surface) >= textContrast {
			break
		}
		for i := range c {
			c[i] += (towards - c[i]) * 0.08
		}
	}
	return colorOf(c)
}

// on is the colour of text on the colour: white or black.
func on(color string) string {
	if contrast("#ffffff", color) >= contrast("#000000", color) {
		return "#ffffff"
	}
	return "#000000"
}

func rgb(color string) (c [3]float64) {
	for i := range c {
		n, _ := strconv.ParseUint(color[1+2*i:3+2*i], 16, 8) // it has been checked
		c[i] = float64(n)
	}
	return c
}

func colorOf(c [3]float64) string {
	return fmt.Sprintf("#%02x%02x%02x", int(math.Round(c[0])), int(math.Round(c[1])), int(math.Round(c[2])))
}

// luminance is the relative luminance of WCAG 2.2.
func luminance(color string) float64 {
	weights, sum := [3]float64{0.2126, 0.7152, 0.0722}, 0.0
	for i, v := range rgb(color) {
		v /= 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weights[i] * v
	}
	return sum
}

// contrast is the contrast ratio of WCAG 2.2, 1 to 21.
func contrast(a, b string) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}
