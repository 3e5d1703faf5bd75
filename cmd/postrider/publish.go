package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
)

// shownEvent is an event as the API has it.
type shownEvent struct {
	ID        string    `json:"id"`
	EventID   string    `json:"eventId"`
	EventType string    `json:"eventType"`
	Channels  []string  `json:"channels"`
	Tags      []string  `json:"tags"`
	Timestamp time.Time `json:"timestamp"`
}

func (e *shownEvent) text() string {
	return lines("ID", e.ID, "Event id", e.EventID, "Event type", e.EventType, "Channels", strings.Join(e.Channels, ","),
		"Tags", strings.Join(e.Tags, ","), "Published", stamp(e.Timestamp))
}

type publishOptions struct {
	data, eventID, idempotencyKey string
	channels, tags                []string
}

func newPublishCmd() *cobra.Command {
	f := &apiFlags{}
	var opts publishOptions
	cmd := &cobra.Command{
		Use: "publish APP EVENT-TYPE [FILE]", Short: "Publish an event of an application", Args: cobra.RangeArgs(2, 3),
		Long: `Publish an event of an application through the API. Its data, a JSON object, is that of --data, FILE or, without either or
with -, standard input; it is delivered byte for byte. Events of the same --event-id are published once: the second is
refused. A command that is repeated with the same --idempotency-key publishes once and shows what it published.` + apiHelp,
		Example: `  postrider publish acme contact.created --data '{"id":"42"}' --event-id c-42
  postrider publish acme order.paid order.json --channel berlin --tag import`,
		RunE: f.managing(opts.publish),
	}
	f.add(cmd)
	cmd.Flags().StringVar(&opts.data, "data", "", "the event's data")
	cmd.Flags().StringVar(&opts.eventID, "event-id", "", "the event's own id")
	cmd.Flags().StringVar(&opts.idempotencyKey, "idempotency-key", "", "makes it safe to repeat the command")
	cmd.Flags().StringSliceVar(&opts.channels, "channel", nil, "channel of the event, may be repeated")
	cmd.Flags().StringSliceVar(&opts.tags, "tag", nil, "tag to find the event by, may be repeated")
	return cmd
}

func (o *publishOptions) publish(m *manager, args []string) error {
	payload, err := o.payload(m.cmd, args)
	if err != nil {
		return err
	}
	body, err := o.body(args[1], payload)
	if err != nil {
		return err
	}
	return do(m, client.Call{
		Method: http.MethodPost, Path: client.Path("app", args[0], "msg"), Query: url.Values{"with_content": {"false"}},
		Body: body, IdempotencyKey: o.idempotencyKey,
	}, (*shownEvent).text)
}

func (o *publishOptions) payload(cmd *cobra.Command, args []string) (json.RawMessage, error) {
	if cmd.Flags().Changed("data") {
		if len(args) == 3 {
			return nil, errors.New("--data and a file: want one of them")
		}
		if err := checkJSON([]byte(o.data)); err != nil {
			return nil, fmt.Errorf("--data: %w", err)
		}
		return json.RawMessage(o.data), nil
	}
	name := "-"
	if len(args) == 3 {
		name = args[2]
	}
	return readJSON(cmd, name)
}

// body writes the request by hand around the payload, which an encoder would not leave as it is.
func (o *publishOptions) body(eventType string, payload json.RawMessage) (json.RawMessage, error) {
	head := fields{"eventType": eventType}
	if o.eventID != "" {
		head["eventId"] = o.eventID
	}
	if len(o.channels) > 0 {
		head["channels"] = o.channels
	}
	if len(o.tags) > 0 {
		head["tags"] = o.tags
	}
	raw, err := json.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("encoding event: %w", err)
	}
	raw = append(raw[:len(raw)-1], `,"payload":`...)
	return append(append(raw, payload...), '}'), nil
}
