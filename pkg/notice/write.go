package notice

import (
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"strings"
)

// Message is a notice as a mail.
type Message struct {
	Subject string
	// Text and HTML say the same.
	Text, HTML string
}

// instant is how times are written: without the reader's zone, which nobody knows here.
const instant = "2006-01-02 15:04 UTC"

// Mail writes a notice as a mail.
func (d Digest) Mail() (Message, error) {
	var html strings.Builder
	if err := mailPage.Execute(&html, d); err != nil {
		return Message{}, fmt.Errorf("writing notice: %w", err)
	}
	return Message{Subject: d.Subject(), Text: d.text(), HTML: html.String()}, nil
}

func (d Digest) text() string {
	var b strings.Builder
	b.WriteString(d.Subject() + "\n")
	if d.Test {
		b.WriteString("\nSomebody tries whether notices arrive here. They do.\n")
	}
	for _, part := range d.Parts() {
		b.WriteString("\n" + part.Title + "\n")
		for _, l := range part.Lines {
			fmt.Fprintf(&b, "\n* %s\n", l.Endpoint)
			for _, text := range []string{l.URL, l.Text, l.When(), l.Link} {
				if text != "" {
					b.WriteString("  " + text + "\n")
				}
			}
		}
	}
	if rest := d.Rest(); rest != "" {
		b.WriteString("\n" + rest + "\n")
	}
	fmt.Fprintf(&b, "\nAll endpoints: %s\nOf what you are told, and where: %s\n", d.Link, d.Settings)
	return b.String()
}

// Part is one list of a digest.
type Part struct {
	Title string
	Lines []Line
}

// Parts are the lists that have anything in them.
func (d Digest) Parts() (out []Part) {
	if len(d.Bad) > 0 {
		out = append(out, Part{"New problems", d.Bad})
	}
	if len(d.Well) > 0 {
		out = append(out, Part{"Well again", d.Well})
	}
	return out
}

// mailPage has no image, no style sheet and nothing that a mail program would have to fetch.
var mailPage = template.Must(template.New("mail").Parse( //nolint:gochecknoglobals // parsed once
	`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Subject}}</title></head>
<body style="font-family:sans-serif;line-height:1.4">
<h1 style="font-size:1.2em">{{.Subject}}</h1>
{{if .Test}}<p>Somebody tries whether notices arrive here. They do.</p>{{end}}
{{range .Parts}}<h2 style="font-size:1em">{{.Title}}</h2>
<ul>
{{range .Lines}}<li><p><a href="{{.Link}}">{{.Endpoint}}</a>{{with .URL}} <code>{{.}}</code>{{end}}<br>{{.Text}}{{with .When}}<br><small>{{.}}</small>{{end}}</p></li>
{{end}}</ul>
{{end}}{{with .Rest}}<p>{{.}}</p>
{{end}}<p><a href="{{.Link}}">All endpoints</a> · <a href="{{.Settings}}">Of what you are told, and where</a></p>
</body></html>
`))

// Chat writes a notice for a chat; the media are [Slack] and [Teams].
func (d Digest) Chat(m Medium) ([]byte, error) {
	var body any
	switch m {
	case Slack:
		body = map[string]any{"text": d.slack()}
	case Teams:
		body = d.card()
	case Email:
		return nil, fmt.Errorf("medium %s: want a chat", m)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("writing notice: %w", err)
	}
	return raw, nil
}

// slack writes Slack's mrkdwn, which Mattermost and others read as Markdown. What tenants chose stands as code: in it nothing
// is a link, a mention or a style.
func (d Digest) slack() string {
	var b strings.Builder
	b.WriteString(code(d.Subject()) + "\n")
	if d.Test {
		b.WriteString("Somebody tries whether notices arrive here. They do.\n")
	}
	for _, part := range d.Parts() {
		b.WriteString("\n" + part.Title + "\n")
		for _, l := range part.Lines {
			text := l.Endpoint
			if l.URL != "" {
				text += " " + l.URL
			}
			fmt.Fprintf(&b, "• %s\n%s %s\n", code(text), code(strings.TrimSpace(l.Text+" "+l.When())), l.Link)
		}
	}
	if rest := d.Rest(); rest != "" {
		b.WriteString("\n" + rest + "\n")
	}
	fmt.Fprintf(&b, "\nAll endpoints: %s\nOf what you are told, and where: %s", d.Link, d.Settings)
	return b.String()
}

// slackEscapes are the three characters that Slack gives a meaning to, and what would end code.
var slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "`", "'") //nolint:gochecknoglobals // immutable

func code(text string) string { return "`" + slackEscapes.Replace(text) + "`" }

// card is an adaptive card as a workflow of Teams takes it. What tenants chose stands in text runs, which know no Markdown.
func (d Digest) card() any {
	type object = map[string]any
	var body []any
	say := func(text string, more object) {
		run := object{"type": "TextRun", "text": text}
		maps.Copy(run, more)
		body = append(body, object{"type": "RichTextBlock", "inlines": []any{run}})
	}
	say(d.Subject(), object{"weight": "Bolder"})
	if d.Test {
		say("Somebody tries whether notices arrive here. They do.", nil)
	}
	for _, part := range d.Parts() {
		say(part.Title, object{"weight": "Bolder"})
		for _, l := range part.Lines {
			say(l.Endpoint+" "+l.URL, object{"selectAction": object{"type": "Action.OpenUrl", "url": l.Link}})
			say(strings.TrimSpace(l.Text+" "+l.When()), nil)
		}
	}
	if rest := d.Rest(); rest != "" {
		say(rest, nil)
	}
	return object{"type": "message", "attachments": []any{object{
		"contentType": "application/vnd.microsoft.card.adaptive",
		"content": object{
			"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "body": body,
			"actions": []any{
				object{"type": "Action.OpenUrl", "title": "All endpoints", "url": d.Link},
				object{"type": "Action.OpenUrl", "title": "Of what you are told, and where", "url": d.Settings},
			},
		},
	}}}
}
