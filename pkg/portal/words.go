package portal

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/api"
)

// retryWords says a retry policy in a sentence or two.
func retryWords(p api.RetryPolicy) string {
	var b strings.Builder
	switch p.Kind {
	case "fixed":
		fmt.Fprintf(&b, "A failed delivery is tried again after %s each time", span(p.Interval))
	case "list":
		texts := make([]string, 0, len(p.List))
		for _, d := range p.List {
			texts = append(texts, span(d))
		}
		fmt.Fprintf(&b, "A failed delivery is tried again after %s", strings.Join(texts, ", then "))
	case "exponential":
		factor := p.Factor
		if factor == 0 {
			factor = 2
		}
		fmt.Fprintf(&b, "A failed delivery is tried again after %s, and each further wait is %g times as long", span(p.Interval), factor)
		if p.MaxInterval != "" {
			fmt.Fprintf(&b, ", at most %s", span(p.MaxInterval))
		}
	default:
		return "A failed delivery is tried again as the profile says."
	}
	b.WriteString(bounds(p))
	switch p.Jitter {
	case "full":
		b.WriteString(" Each wait is drawn at random, up to that length.")
	case "proportional":
		b.WriteString(" Each wait varies by a fifth.")
	}
	return b.String()
}

// bounds says when retries end.
func bounds(p api.RetryPolicy) string {
	switch {
	case p.MaxTries == 1:
		return ", but there is one try only."
	case p.MaxTries > 0 && p.MaxAge != "":
		return fmt.Sprintf(": %d tries in all, for at most %s.", p.MaxTries, span(p.MaxAge))
	case p.MaxTries > 0:
		return fmt.Sprintf(": %d tries in all.", p.MaxTries)
	case p.MaxAge != "":
		return fmt.Sprintf(", for at most %s.", span(p.MaxAge))
	case p.Kind == "list":
		return fmt.Sprintf(": %d tries in all.", len(p.List)+1)
	}
	return "."
}

// failureWords says a failure policy in a sentence.
func failureWords(p api.FailurePolicy) string {
	effect := map[string]string{
		"": "it is disabled, and you can enable it again", "disable": "it is disabled, and you can enable it again",
		"lock":            "it is disabled, and only an operator can enable it again",
		"suspend_retries": "failed deliveries are not tried again until one succeeds",
	}[p.Effect]
	switch p.Kind {
	case "consecutive":
		text := fmt.Sprintf("After %d failed attempts in a row", p.Failures)
		if p.Within != "" {
			text += " within " + span(p.Within)
		}
		return text + " " + effect + "."
	case "rate":
		return fmt.Sprintf("When %d %% of the attempts within %s fail (of at least %d), %s.", p.Percent, span(p.Within), p.Attempts, effect)
	case "lasting":
		return fmt.Sprintf("When every attempt has failed for %s, %s.", span(p.For), effect)
	}
	return "However often attempts fail, it stays enabled."
}

// disabledWords says why an endpoint is disabled.
func disabledWords(reason string) string {
	switch reason {
	case "":
		return "Nothing is sent to this endpoint while it is disabled."
	case "gone":
		return "It was disabled because it answered 410 Gone. Enable it when it is there again."
	case "failing":
		return "It was disabled because it kept failing. Enable it when it is mended."
	}
	return "It was disabled automatically (" + reason + ")."
}

// span says a duration as people do: "1m30s" is 1 minute 30 seconds.
func span(text string) string {
	d, err := time.ParseDuration(text)
	if err != nil {
		return text
	}
	var parts []string
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		if n := d / unit.length; n > 0 {
			s := ""
			if n > 1 {
				s = "s"
			}
			parts = append(parts, fmt.Sprintf("%d %s%s", n, unit.name, s))
			d -= n * unit.length
		}
	}
	if len(parts) == 0 {
		return d.String()
	}
	return strings.Join(parts, " ")
}

// seconds says a number of seconds.
func seconds(n int) string { return span((time.Duration(n) * time.Second).String()) }

// typesWords says which event types an endpoint receives, briefly.
func typesWords(types []string) string {
	const some = 3
	switch {
	case len(types) == 0:
		return "All event types"
	case len(types) > some:
		return fmt.Sprintf("%s and %d more", strings.Join(types[:some], ", "), len(types)-some)
	}
	return strings.Join(types, ", ")
}

// instant is a time for a template: exact in UTC, which the script shows in the reader's zone.
func instant(t any) template.HTML {
	var at time.Time
	switch t := t.(type) {
	case time.Time:
		at = t
	case *time.Time:
		if t == nil {
			return ""
		}
		at = *t
	}
	exact := at.UTC().Format("2006-01-02 15:04:05 UTC")
	//nolint:gosec // digits, dashes and colons
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, at.UTC().Format(time.RFC3339Nano), exact, exact))
}
