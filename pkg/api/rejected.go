package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/pipeline"
)

// RejectedOut is a source record that could not be read as an event.
type RejectedOut struct {
	ID         string    `json:"id" example:"rej_000000PaRcqoJBzlIqAV396lCsH"`
	Topic      string    `json:"topic" doc:"The source topic it came from." example:"shop.orders"`
	Source     string    `json:"source" doc:"Where it was read first, topic/partition/offset." example:"shop.orders/3/4711"`
	Reason     string    `json:"reason" example:"no_tenant"`
	Field      *string   `json:"field,omitempty" doc:"What in the record is wrong; absent for the whole." example:"organization.id"`
	Bytes      int       `json:"bytes" doc:"The length of its value."`
	Reingested int       `json:"reingested" doc:"How often it was put back and rejected again."`
	Timestamp  time.Time `json:"timestamp" doc:"When it was rejected."`
}

// RejectedDetailOut is one as it came.
type RejectedDetailOut struct {
	RejectedOut
	Detail  *string             `json:"detail,omitempty" doc:"What is wrong and what is allowed."`
	Today   *string             `json:"today,omitempty" doc:"What it would be rejected for as this process is configured; absent if it would not."`
	Expired bool                `json:"expired" doc:"Kafka does not have it any more."`
	Key     *string             `json:"key,omitempty" doc:"The record's key, in base64 if it is no text."`
	Headers []RejectedHeaderOut `json:"headers" nullable:"false"`
	Value   string              `json:"value" doc:"The bytes as they came, in base64 if they are no text."`
	Base64  bool                `json:"base64" doc:"Whether the value is in base64."`
}

// RejectedHeaderOut is a header of the record.
type RejectedHeaderOut struct {
	Name  string `json:"name"`
	Value string `json:"value" doc:"In base64 if it is no text."`
}

// RejectedCauseOut is a group of rejected records.
type RejectedCauseOut struct {
	Topic   string      `json:"topic"`
	Reason  string      `json:"reason"`
	Field   *string     `json:"field,omitempty"`
	Count   int         `json:"count"`
	First   time.Time   `json:"first"`
	Last    time.Time   `json:"last"`
	Example RejectedOut `json:"example" doc:"The newest."`
}

// RejectedQuery narrows a list of rejected records. Lists in it are repeated, or separated by commas.
type RejectedQuery struct {
	PageInput
	Topics  []string  `query:"topic,explode" maxItems:"100" doc:"Only those of these source topics."`
	Reasons []string  `query:"reason,explode" maxItems:"20" doc:"Only those with these reasons, such as no_tenant."`
	Fields  []string  `query:"field,explode" maxItems:"20" doc:"Only those of which this field is wrong."`
	Before  time.Time `query:"before" doc:"Only those rejected before it, RFC 3339."`
	After   time.Time `query:"after" doc:"Only those rejected at it or after, RFC 3339."`
}

func (in *RejectedQuery) filter() letter.RejectedFilter {
	return letter.RejectedFilter{
		Topics: split(in.Topics), Reasons: split(in.Reasons), Fields: split(in.Fields), Before: in.Before, After: in.After,
	}
}

// RejectedPath names one.
type RejectedPath struct {
	ID string `path:"rej_id" pattern:"^rej_[A-Za-z0-9]{27}$" doc:"The id of the rejected record."`
}

// ReingestIn says which rejected records are meant.
type ReingestIn struct {
	LetterActIn
	IDs       []string `json:"ids,omitempty" maxItems:"1000" doc:"Only these."`
	Topics    []string `json:"topics,omitempty" maxItems:"100"`
	Reasons   []string `json:"reasons,omitempty" maxItems:"20"`
	Fields    []string `json:"fields,omitempty" maxItems:"20"`
	Unchecked bool     `json:"unchecked,omitempty" doc:"Put back also what would be rejected again as this process is configured."`
}

func (a *API) rejected() {
	const path, tag = "/rejected", "Rejected record"
	register(a, route{
		method: http.MethodGet, path: path, id: "postrider.rejected.list", tag: tag, needs: access.ViewAll,
		summary: "List source records that could not be read as events",
		doc:     "Newest first. One is listed until it is put back, for 30 days at the most.",
	}, a.listRejected)
	register(a, route{
		method: http.MethodGet, path: path + "/cause", id: "postrider.rejected.causes", tag: tag, needs: access.ViewAll,
		summary: "Group rejected records by cause", doc: "By source topic, reason and field. The iterator is not looked at.",
	}, a.rejectedCauses)
	register(a, route{
		method: http.MethodGet, path: path + "/{rej_id}", id: "postrider.rejected.get", tag: tag, needs: access.ViewAll,
		summary: "Get a rejected record as it came",
	}, a.getRejected)
	registerLines(a, route{
		method: http.MethodGet, path: path + "/export", id: "postrider.rejected.export", tag: tag, needs: access.ViewAll, lines: true,
		summary: "Export rejected records as they came", doc: docExport,
	}, a.exportRejected)
	registerBody(a, route{
		method: http.MethodPost, path: path + "/reingest", id: "postrider.rejected.reingest", tag: tag, needs: access.Operate,
		summary: "Put rejected records back into the topics they came from",
		doc: "For when a mapping was mended, oldest first. Key, bytes, headers and timestamp are those they came with; the headers " +
			"pr-reingested and pr-reingest-count are added. Doing it twice delivers once. What would be rejected again is skipped.",
	}, func(ctx context.Context, _ *LettersBody, in *ReingestIn) (*answer[LettersDoneOut], error) {
		return a.reingest(ctx, in)
	})
}

func (a *API) listRejected(_ context.Context, in *RejectedQuery) (*answer[List[RejectedOut]], error) {
	open, err := openLetters(a.opts.Rejected.Open)
	if err != nil {
		return nil, err
	}
	filter := in.filter()
	return answerList(pageOfLetters(in.PageInput, open, ident.ID{}, filter.Matches, rejectedOut))
}

func (a *API) rejectedCauses(_ context.Context, in *RejectedQuery) (*answer[Causes[RejectedCauseOut]], error) {
	open, err := openLetters(a.opts.Rejected.Open)
	if err != nil {
		return nil, err
	}
	filter := in.filter()
	causes := groupLetters(in.PageInput, open, ident.ID{}, filter.Matches, (*letter.Rejected).Cause,
		func(c letter.Cause[letter.RejectedCause, *letter.Rejected]) RejectedCauseOut {
			return RejectedCauseOut{
				Topic: c.Key.Topic, Reason: c.Key.Reason, Field: optional(c.Key.Field), Count: c.Count, First: c.First, Last: c.Last,
				Example: rejectedOut(c.Example),
			}
		})
	return &answer[Causes[RejectedCauseOut]]{Body: causes}, nil
}

func (a *API) getRejected(ctx context.Context, in *RejectedPath) (*answer[RejectedDetailOut], error) {
	open, err := openLetters(a.opts.Rejected.Open)
	if err != nil {
		return nil, err
	}
	id, err := ident.ParseBase62(letter.RejectedPrefix, in.ID)
	l, ok := open.Get(id)
	if err != nil || !ok {
		return nil, notFound("rejected record")
	}
	read, err := a.opts.Rejected.Read(ctx, []*letter.Rejected{l})
	if err != nil {
		return nil, a.lettersAway(ctx, "reading a rejected record", err)
	}
	return &answer[RejectedDetailOut]{Body: rejectedDetail(read[0])}, nil
}

func (a *API) exportRejected(_ context.Context, in *RejectedQuery) (lines[RejectedDetailOut], error) {
	open, err := openLetters(a.opts.Rejected.Open)
	if err != nil {
		return nil, err
	}
	filter := in.filter()
	return exportLetters(open, ident.ID{}, filter.Matches, a.opts.Rejected.Read, rejectedDetail), nil
}

func (a *API) reingest(ctx context.Context, in *ReingestIn) (*answer[LettersDoneOut], error) {
	filter := letter.RejectedFilter{
		Topics: in.Topics, Reasons: in.Reasons, Fields: in.Fields, Before: value(in.Before), After: value(in.After),
	}
	for _, name := range in.IDs {
		id, err := ident.ParseBase62(letter.RejectedPrefix, name)
		if err != nil {
			return nil, invalid("ids", "want ids of rejected records, rej_ and 27 letters and digits")
		}
		filter.IDs = append(filter.IDs, id)
	}
	if filter.IsZero() && !in.All {
		return nil, invalid("all", "want true to mean really all, or something that narrows it down: ids, topics, reasons, fields, before or after")
	}
	open, err := openLetters(a.opts.Rejected.Open)
	if err != nil {
		return nil, err
	}
	return a.act(ctx, letterAct{
		in: &in.LetterActIn, kind: audit.KindRejected, action: audit.Reingested, filter: filter, one: in.IDs,
		count: func(w pipeline.LetterWork) int { return countLetters(open, w, filter.IDs, filter.Matches) },
		do: func(ctx context.Context, w pipeline.LetterWork) (pipeline.LetterProgress, error) {
			return a.opts.Rejected.Reingest(ctx, w, filter, in.Unchecked)
		},
	})
}

func rejectedOut(l *letter.Rejected) RejectedOut {
	return RejectedOut{
		ID: l.ID.Base62(letter.RejectedPrefix), Topic: l.Topic(), Source: l.Source.String(), Reason: l.Reason(), Field: optional(l.Field()),
		Bytes: int(l.Bytes), Reingested: int(l.Round), Timestamp: l.Time(),
	}
}

func rejectedDetail(l pipeline.RejectedRecord) RejectedDetailOut {
	out := RejectedDetailOut{RejectedOut: rejectedOut(l.Rejected), Expired: !l.Found, Headers: []RejectedHeaderOut{}}
	if !l.Found {
		return out
	}
	out.Detail, out.Today = optional(l.Detail), optional(l.Now)
	if l.Record.Key != nil {
		key, _ := asText(l.Record.Key)
		out.Key = &key
	}
	for _, h := range l.Record.Headers {
		if h.Key == letter.HeaderReingested || h.Key == letter.HeaderReingestCount {
			continue
		}
		text, _ := asText(h.Value)
		out.Headers = append(out.Headers, RejectedHeaderOut{h.Key, text})
	}
	out.Value, out.Base64 = asText(l.Record.Value)
	return out
}

// asText is what is text as it is, and anything else in base64.
func asText(b []byte) (text string, encoded bool) {
	if utf8.Valid(b) {
		return string(b), false
	}
	return base64.StdEncoding.EncodeToString(b), true
}
