package api

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// referenceFiles are the template and the style of the reference page.
//
//go:embed reference/page.html reference/page.css
var referenceFiles embed.FS

// referencePolicy lets the page use its own style and nothing else: no script, no request.
//
//nolint:gochecknoglobals // a constant
var referencePolicy = "default-src 'none'; style-src '" + styleHash() + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func styleHash() string {
	sum := sha256.Sum256([]byte(referenceStyle()))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// referenceStyle is the page's style sheet.
func referenceStyle() string {
	css, err := referenceFiles.ReadFile("reference/page.css")
	if err != nil {
		panic(err) // it is inside the binary
	}
	return string(css)
}

// page is what the template of the reference page gets.
type page struct {
	Title, Description string
	Style              template.CSS
	Groups             []group
}

// group are the operations of one tag.
type group struct {
	Name, Anchor string
	Operations   []documented
}

// documented is one operation.
type documented struct {
	ID, Method, Path, Summary, Description string
	Permission                             string
	Roles, Capabilities                    string
	Parameters                             []member
	Body                                   []member
	BodyLimit                              string
	Responses                              []documentedResponse
	Curl                                   string
}

type documentedResponse struct {
	Status, Description string
	Members             []member
}

// renderReference makes the page of the operations of routes, in their order.
func renderReference(doc *huma.OpenAPI, routes []route) ([]byte, error) {
	tpl, err := template.ParseFS(referenceFiles, "reference/page.html")
	if err != nil {
		return nil, fmt.Errorf("reading the template of the reference page: %w", err)
	}
	p := page{Title: doc.Info.Title, Description: doc.Info.Description, Style: template.CSS(referenceStyle())} //nolint:gosec // our own
	for _, r := range routes {
		i := slices.IndexFunc(p.Groups, func(g group) bool { return g.Name == r.tag })
		if i < 0 {
			i = len(p.Groups)
			p.Groups = append(p.Groups, group{Name: r.tag, Anchor: strings.ToLower(strings.ReplaceAll(r.tag, " ", "-"))})
		}
		p.Groups[i].Operations = append(p.Groups[i].Operations, documentOperation(doc, r))
	}
	var out bytes.Buffer
	if err := tpl.Execute(&out, p); err != nil {
		return nil, fmt.Errorf("writing the reference page: %w", err)
	}
	return out.Bytes(), nil
}

func documentOperation(doc *huma.OpenAPI, r route) documented {
	op := operation(doc, r)
	out := documented{ID: r.id, Method: r.method, Path: r.full(), Summary: r.summary, Description: r.doc, Permission: string(r.needs)}
	roles, capabilities := grantees(r)
	out.Roles, out.Capabilities = strings.Join(roles, ", "), strings.Join(capabilities, ", ")
	members := describer{registry: doc.Components.Schemas}
	for _, p := range op.Parameters {
		m := members.member(p.Name, p.Schema, p.Required, 0)
		m.In = p.In
		if p.Description != "" {
			m.Description = p.Description
		}
		out.Parameters = append(out.Parameters, m)
	}
	out.Curl = "curl " + curlMethod(r.method) + "\"$POSTRIDER" + out.Path + "\""
	if !r.public {
		out.Curl += " \\\n  -H \"Authorization: Bearer $TOKEN\""
	}
	if op.RequestBody != nil {
		schema := op.RequestBody.Content["application/json"].Schema
		out.Body = members.members(schema, 0)
		out.BodyLimit = strconv.FormatInt(op.MaxBodyBytes>>10, 10) + " KiB"
		out.Curl += " \\\n  -H 'Content-Type: application/json' \\\n  -d '" + members.example(schema) + "'"
	}
	for status, response := range op.Responses {
		d := documentedResponse{Status: status, Description: response.Description}
		if media := response.Content["application/json"]; media != nil && status[0] == '2' {
			d.Members = members.members(media.Schema, 0)
		}
		out.Responses = append(out.Responses, d)
	}
	slices.SortFunc(out.Responses, func(a, b documentedResponse) int { return strings.Compare(a.Status, b.Status) })
	return out
}

func curlMethod(method string) string {
	if method == "GET" {
		return ""
	}
	return "-X " + method + " "
}
