package api

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/letter"
)

// linesType is the media type of answers that are a line of JSON for each element.
const linesType = "application/x-ndjson"

const docExport = "A JSON object a line, oldest first. An answer that is not complete ends without the end of its last chunk."

// exportBatch is how many elements are read and written at a time.
const exportBatch = 100

// lines yields the batches of an answer that is a line for each element.
type lines[T any] func(ctx context.Context) iter.Seq2[[]T, error]

// registerLines adds an operation that answers with lines while it reads them. What is wrong before the first one is refused
// as anywhere; later the connection breaks.
func registerLines[P, T any](a *API, r route, handler func(context.Context, *P) (lines[T], error)) {
	huma.Register(a.huma, a.declare(r, nil, reflect.TypeFor[T]()), func(ctx context.Context, in *P) (*huma.StreamResponse, error) {
		batches, err := handler(ctx, in)
		if err != nil {
			return nil, a.tell(ctx, r, err)
		}
		return &huma.StreamResponse{Body: func(answer huma.Context) {
			answer.SetHeader("Content-Type", linesType)
			answer.SetStatus(http.StatusOK)
			_, w := humago.Unwrap(answer)
			to := http.NewResponseController(w)
			for batch, err := range batches(ctx) {
				// The limit of the server is one for a batch here, not for the whole. A writer that knows none has none.
				_ = to.SetWriteDeadline(a.opts.Now().Add(writeTimeout))
				if err == nil {
					err = writeLines(w, batch)
				}
				if err != nil {
					a.opts.Log.WarnContext(ctx, "breaking off an answer", "operation", r.id, "request", requestID(ctx), "error", err)
					panic(http.ErrAbortHandler)
				}
				_ = to.Flush() // likewise
			}
		}}, nil
	})
}

func writeLines[T any](w http.ResponseWriter, batch []T) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, v := range batch {
		if err := enc.Encode(v); err != nil {
			return err
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// exportLetters are the letters of a tenant that a filter lets through, with what their records hold.
func exportLetters[L letter.Letter, F, T any](
	open *letter.Open[L], tenant ident.ID, keep func(L) bool, read func(context.Context, []L) ([]F, error), out func(F) T,
) lines[T] {
	return func(ctx context.Context) iter.Seq2[[]T, error] {
		return func(yield func([]T, error) bool) {
			var batch []L
			flush := func() bool {
				full, err := read(ctx, batch)
				made := make([]T, 0, len(full))
				for _, f := range full {
					made = append(made, out(f))
				}
				batch = batch[:0]
				return yield(made, err) && err == nil
			}
			for l := range open.List(tenant, letter.Cursor{}, false) {
				if !keep(l) {
					continue
				}
				if batch = append(batch, l); len(batch) == exportBatch && !flush() {
					return
				}
			}
			if len(batch) > 0 {
				flush()
			}
		}
	}
}
