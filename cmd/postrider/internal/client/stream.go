package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Stream makes a call once and calls each for every line of its answer, which may take as long as ctx. An answer that breaks
// off is an error after the lines that came.
func (c *Client) Stream(ctx context.Context, call Call, each func(line []byte) error) error {
	request, err := c.request(ctx, call, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/x-ndjson")
	unhurried := *c.http
	unhurried.Timeout = 0
	response, err := unhurried.Do(request)
	if err != nil {
		return fmt.Errorf("the API does not answer: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		raw, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
		if err != nil {
			return fmt.Errorf("reading answer: %w", err)
		}
		return parseError(response, raw)
	}
	for in := bufio.NewReader(response.Body); ; {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading answer: %w", err)
		}
		if err := each(line); err != nil {
			return err
		}
	}
}
