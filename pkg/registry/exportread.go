package registry

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/pause"
	"github.com/postrider/postrider/pkg/subscription"
)

// Exported is an object of a file.
type Exported struct {
	// Line is where it is in the file; the header is line 1.
	Line   int
	Object Object
	// Bytes is the length of the line.
	Bytes int
}

const (
	// maxExportLine bounds a line: a record and its key.
	maxExportLine = MaxRecord + 4<<10
	// maxExportErrors bounds what is told of one file: who made a mistake on every line sees it on twenty.
	maxExportErrors = 20
)

// ReadExport reads what [Export] wrote: objects with version 0, each after what it refers to, in whatever order the file has
// them. Errors name the line, and what is wrong with the first lines that are is told at once. A file of a newer form, or with a
// record of one, is an error that wraps [form.ErrNewer]. Members that this version does not know are refused: they would be lost.
func ReadExport(from io.Reader) ([]Exported, error) {
	r := &exportReader{lines: bufio.NewScanner(from), records: Empty().builder(), at: map[Key]int{}}
	r.lines.Buffer(make([]byte, 0, 64<<10), maxExportLine)
	header, err := r.header()
	if err != nil {
		return nil, err
	}
	var errs []error
	for len(errs) < maxExportErrors && r.next() {
		if err := r.object(); err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", r.line, err))
		}
	}
	if err := r.ended(header); len(errs) < maxExportErrors {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(r.read, func(a, b Exported) int { return cmp.Compare(rank(a.Object), rank(b.Object)) })
	return r.read, nil
}

// rank orders objects as objects does.
func rank(o Object) int {
	switch {
	case o.Pause != nil && o.Pause.Tenant.IsZero():
		return 0
	case o.EventType != nil:
		return 1
	case o.Tenant != nil:
		return 2
	case o.Subscription != nil:
		return 3
	case o.Key != nil:
		return 4
	}
	return 5
}

// exportReader reads one file.
type exportReader struct {
	lines *bufio.Scanner
	line  int
	// objects is how many lines were read after the header.
	objects int
	// records reads values as it reads those of the log.
	records *builder
	at      map[Key]int // the line of each key
	read    []Exported
}

// next goes to the next line that is not empty.
func (r *exportReader) next() bool {
	for r.lines.Scan() {
		r.line++
		if len(bytes.TrimSpace(r.lines.Bytes())) > 0 {
			return true
		}
	}
	return false
}

func (r *exportReader) header() (exportHeader, error) {
	var h exportHeader
	if !r.next() {
		if err := r.lines.Err(); err != nil {
			return h, r.ended(h)
		}
		return h, errors.New("is empty: want what 'postrider registry export' writes")
	}
	err := form.Read(r.lines.Bytes(), &h, &h.Version, exportVersion)
	switch {
	case errors.Is(err, form.ErrNewer):
		return h, fmt.Errorf("line 1: version: %w", err)
	case err != nil, h.Format != exportFormat, h.Version < 1:
		return h, fmt.Errorf("line 1: want the header of a file of 'postrider registry export': format %q, its version and the number of objects", exportFormat)
	}
	return h, nil
}

// object reads the line.
func (r *exportReader) object() error {
	r.objects++
	var line exportLine
	if err := strictly(r.lines.Bytes(), &line); errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("ends in the middle of its object: the file was cut")
	} else if err != nil {
		return fmt.Errorf("want a key and a value, JSON: %w", err)
	}
	k, known, err := parseKey([]byte(line.Key))
	switch {
	case !known || k.Kind == kindWrite:
		return fmt.Errorf("key: %q: kind %q is not known: want tenant, subscription, event-type, key or pause", line.Key, k.Kind)
	case err != nil:
		return fmt.Errorf("key: %w", err)
	case r.at[k] != 0:
		return fmt.Errorf("key: %q: is on line %d already", line.Key, r.at[k])
	case line.Value == nil:
		return errors.New("value: missing: want the object")
	}
	r.at[k] = r.line
	if _, err := r.records.apply(-1, []byte(line.Key), line.Value); err != nil {
		return fmt.Errorf("value: %w", err)
	}
	if err := strictly(line.Value, recordOf(k.Kind)); err != nil {
		return fmt.Errorf("value: %w", err)
	}
	r.read = append(r.read, Exported{Line: r.line, Object: r.records.s.Object(k), Bytes: len(r.lines.Bytes())})
	return nil
}

// strictly decodes JSON and refuses members that v does not have, and what follows.
func strictly(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows it on its line")
	}
	return nil
}

// recordOf returns what a record of a kind is decoded into.
func recordOf(k Kind) any {
	switch k {
	case KindTenant:
		return &tenantRecord{Tenant: new(subscription.Tenant)}
	case KindSubscription:
		return &subscriptionRecord{Subscription: new(subscription.Subscription)}
	case KindEventType:
		return &eventTypeRecord{EventType: new(catalogue.EventType)}
	case KindKey:
		return &keyRecord{Key: new(access.Key)}
	case KindPause:
		return &pauseRecord{Pause: new(pause.Pause)}
	case kindWrite:
	}
	return new(header)
}

// ended returns what is wrong with the end of the file.
func (r *exportReader) ended(h exportHeader) error {
	err := r.lines.Err()
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("line %d: more than %d bytes", r.line+1, maxExportLine)
	case err != nil:
		return fmt.Errorf("line %d: %w", r.line+1, err)
	case r.objects < h.Objects:
		return fmt.Errorf("line %d: the file ends after %d of %d objects: it was cut", r.line, r.objects, h.Objects)
	case r.objects > h.Objects:
		return fmt.Errorf("line 1: objects: %d, and there are %d: want the number of lines that follow", h.Objects, r.objects)
	}
	return nil
}
