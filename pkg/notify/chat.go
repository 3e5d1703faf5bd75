package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// maxChatAnswer is how much of an answer is read, so that the connection can be used again: a chat says "ok".
const maxChatAnswer = 4 << 10

// chat posts to incoming webhooks.
type chat struct {
	client    *http.Client
	userAgent string
}

func (c chat) send(ctx context.Context, address string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return &Error{Why: "the chat's URL is none", Refused: true} // the error holds the URL
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	resp, err := c.client.Do(req)
	if err != nil {
		return unreached(err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxChatAnswer) // whatever it says
	switch code := resp.StatusCode; {
	case code < http.StatusMultipleChoices:
		return nil
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= http.StatusInternalServerError:
		return &Error{Why: fmt.Sprintf("the chat answered %d", code)}
	default:
		return &Error{Why: fmt.Sprintf("the chat answered %d", code), Refused: true}
	}
}

// unreached says what went wrong without the URL, which errors of net/http hold.
func unreached(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return &Error{Why: "the chat did not answer in time"}
	}
	return &Error{Why: "the chat could not be reached", cause: err}
}
