package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
)

// List reads a list page by page. Elements come as the API sent them; an error is the last.
func (c *Client) List(ctx context.Context, path string, query url.Values) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		q := maps.Clone(query)
		if q == nil {
			q = url.Values{}
		}
		if q.Get("limit") == "" {
			q.Set("limit", strconv.Itoa(pageSize))
		}
		for range maxPages {
			answer, err := c.Do(ctx, Call{Method: http.MethodGet, Path: path, Query: q})
			if err != nil {
				yield(nil, err)
				return
			}
			var page struct {
				Data     []json.RawMessage `json:"data"`
				Iterator *string           `json:"iterator"`
				Done     bool              `json:"done"`
			}
			if err := json.Unmarshal(answer.Body, &page); err != nil {
				yield(nil, fmt.Errorf("decoding list: %w", err))
				return
			}
			for _, e := range page.Data {
				if !yield(e, nil) {
					return
				}
			}
			if page.Done || page.Iterator == nil {
				return
			}
			q.Set("iterator", *page.Iterator)
		}
		yield(nil, errors.New("the list does not end"))
	}
}
