package notice

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// Digest is one notice, before it is written for a medium. Its texts are plain: without control characters, line ends and
// whatever turns the direction of text, and cut off where they are long.
type Digest struct {
	// Product is what the portal is called.
	Product string
	Tenant  string
	// Bad and Well have at most [MaxLines] each; MoreBad and MoreWell count the rest.
	Bad, Well         []Line
	MoreBad, MoreWell int
	// Still is how many problems of earlier notices go on.
	Still int
	// Link leads to the tenant's endpoints in the portal, Settings to what is told of.
	Link, Settings string
	// Test says that somebody tries whether notices arrive.
	Test bool
}

// Line is one problem.
type Line struct {
	// Endpoint is its name and URL the URL without its query, which may hold a token.
	Endpoint, URL string
	Text          string
	// Since is when it was noticed; zero of what is over.
	Since time.Time
	Link  string
}

// When says since when it is so; empty of what is over.
func (l Line) When() string {
	if l.Since.IsZero() {
		return ""
	}
	return "Since " + l.Since.UTC().Format(instant) + "."
}

// Portal is where links lead.
type Portal struct {
	// URL is that of the portal, without a slash at its end, and Product what it is called.
	URL, Product string
}

// Test is the notice by which somebody tries whether notices arrive.
func (p Portal) Test(t *subscription.Tenant) Digest {
	d := p.digest(t)
	d.Test = true
	return d
}

// Digest writes news down. An endpoint that endpoint does not know any more is named by its id.
func (p Portal) Digest(t *subscription.Tenant, n News, endpoint func(ident.ID) (*subscription.Subscription, bool)) Digest {
	d := p.digest(t)
	d.Still = n.Still
	line := func(item Item) Line {
		id := item.Subscription.Base62(subscription.SubscriptionPrefix)
		l := Line{Endpoint: id, Text: item.Detail, Since: item.Since.UTC(), Link: d.Link + "/" + id}
		if s, ok := endpoint(item.Subscription); ok {
			l.URL = plain(withoutQuery(s.URL))
			if name := plain(s.Name); name != "" {
				l.Endpoint = name
			}
		}
		return l
	}
	for _, item := range n.Bad[:min(len(n.Bad), MaxLines)] {
		d.Bad = append(d.Bad, line(item))
	}
	for _, item := range n.Well[:min(len(n.Well), MaxLines)] {
		item.Detail, item.Since = wellText(item.Problem), time.Time{}
		d.Well = append(d.Well, line(item))
	}
	d.MoreBad, d.MoreWell = len(n.Bad)-len(d.Bad), len(n.Well)-len(d.Well)
	return d
}

func (p Portal) digest(t *subscription.Tenant) Digest {
	app := p.URL + "/app/" + t.ID.Base62(subscription.TenantPrefix)
	return Digest{Product: plain(p.Product), Tenant: plain(t.Name), Link: app + "/endpoint", Settings: app + "/notices"}
}

func wellText(p Problem) string {
	switch p.Kind {
	case Disabled:
		return "It is enabled again."
	case SuccessRate:
		return "Its success rate is as it should be again."
	case EventType:
		return plain(p.EventType) + " succeeds again."
	case Failing:
	}
	return "Attempts succeed again."
}

// Subject says in one line what is told.
func (d Digest) Subject() string {
	if d.Test {
		return d.Product + " of " + d.Tenant + ": a test"
	}
	var parts []string
	if n := len(d.Bad) + d.MoreBad; n > 0 {
		parts = append(parts, count(n, "new problem"))
	}
	if n := len(d.Well) + d.MoreWell; n > 0 {
		parts = append(parts, fmt.Sprintf("%d well again", n))
	}
	return d.Product + " of " + d.Tenant + ": " + strings.Join(parts, ", ")
}

// Rest says what the lines do not name; empty if they name all.
func (d Digest) Rest() string {
	var parts, out []string
	if d.MoreBad > 0 {
		parts = append(parts, count(d.MoreBad, "new problem"))
	}
	if d.MoreWell > 0 {
		parts = append(parts, fmt.Sprintf("%d well again", d.MoreWell))
	}
	if len(parts) > 0 {
		out = append(out, "Not named here: "+strings.Join(parts, ", ")+".")
	}
	if d.Still > 0 {
		out = append(out, fmt.Sprintf("Still open from earlier notices: %d.", d.Still))
	}
	return strings.Join(out, " ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// maxText bounds a text that tenants chose, in characters.
const maxText = 120

// plain returns a text that somebody chose as one line that can do nothing but be read.
func plain(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar
	})
	runes := []rune(strings.Join(words, " "))
	if len(runes) > maxText {
		runes = append(slices.Clone(runes[:maxText]), '…')
	}
	return string(runes)
}

func withoutQuery(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}
