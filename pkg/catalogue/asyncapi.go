package catalogue

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// asyncAPI reads the messages of all channels or, if no channel has any, those of the components. Which way they go is
// not looked at: whoever wrote the document took the view of the producer or that of the consumer.
func (im *importer) asyncAPI(root node, three bool) {
	seen := map[string]bool{}
	channels := root.child("channels")
	fields, _ := channels.value.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if im.full() {
			return
		}
		place := "channels." + cut(name, maxQuoted)
		channel, err := im.doc.deref(channels.child(name))
		switch {
		case err != nil:
			im.fail(place, err)
		case three:
			im.messages(place+".messages", channel, channel.child("messages"), seen)
		default:
			im.channel(place, name, channel, seen)
		}
	}
	if len(seen) == 0 {
		components := root.child("components")
		im.messages("components.messages", components, components.child("messages"), seen)
	}
}

// messages reads messages by key: those of a channel since 3.0, and those of the components. around is what holds them.
func (im *importer) messages(place string, around, n node, seen map[string]bool) {
	fields, ok := n.value.(map[string]any)
	if !ok && n.value != nil {
		im.fail(place, fmt.Errorf("is %s: want messages by name", kindOf(n.value)))
		return
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		im.message(place+"."+cut(key, maxQuoted), key, around, n.child(key), seen)
	}
}

// channel reads the messages of a channel before 3.0.
func (im *importer) channel(place, name string, channel node, seen map[string]bool) {
	for _, way := range []string{"publish", "subscribe"} {
		op := channel.child(way)
		message := op.child("message")
		if message.value == nil {
			continue
		}
		fallback := op.text("operationId")
		if fallback == "" {
			fallback = name
		}
		at := place + "." + way + ".message"
		several := message.child("oneOf")
		list, ok := several.value.([]any)
		if !ok {
			im.message(at, fallback, op, message, seen)
		}
		for i := range list {
			im.message(fmt.Sprintf("%s.oneOf[%d]", at, i), fallback, op, several.item(i), seen)
		}
	}
}

// message adds an event type, unless the same message was seen in another channel. fallback is what it is called by if
// neither it nor, if it is a reference, the place it stands at says anything better.
func (im *importer) message(place, fallback string, around, n node, seen map[string]bool) {
	message, err := im.doc.deref(n)
	if err != nil {
		im.fail(place, err)
		return
	}
	if key := pointer(message.at); seen[key] || im.full() {
		return
	} else { //nolint:revive // key belongs to the condition
		seen[key] = true
	}
	if len(message.at) == 3 && message.at[1] == "messages" { // components.messages.X
		fallback = message.at[2]
	}
	et := EventType{Name: fallback}
	sources := im.withTraits(message)
	for _, s := range slices.Backward(sources) {
		if name := s.text("name", "messageId"); name != "" {
			et.Name = name
		}
	}
	if err := described(&et, append(sources, around)...); err != nil {
		im.fail(place, err)
		return
	}
	if err := im.payload(&et, message); err != nil {
		im.fail(place, err)
		return
	}
	im.add(place, et)
}

// withTraits returns the message and its traits, which say what the message does not.
func (im *importer) withTraits(message node) []node {
	out := []node{message}
	traits := message.child("traits")
	list, _ := traits.value.([]any)
	for i := range list {
		if trait, err := im.doc.deref(traits.item(i)); err == nil {
			out = append(out, trait)
		}
	}
	return out
}

// payload fills in the schema: none if there is no payload.
func (im *importer) payload(et *EventType, message node) error {
	payload := message.child("payload")
	if payload.value == nil {
		return nil
	}
	format := message.text("schemaFormat")
	if multi := payload.text("schemaFormat"); multi != "" { // since 3.0 beside the schema
		format, payload = multi, payload.child("schema")
	}
	if !isSchemaFormat(format) {
		return within("schemaFormat", fmt.Errorf("%q: want a JSON Schema, an AsyncAPI or an OpenAPI schema",
			cut(format, maxQuoted)))
	}
	schema, err := im.schema(payload, messageExamples(message))
	if err != nil {
		return within("payload", err)
	}
	et.Schemas, err = encodeSchemas(map[string]map[string]any{"1": schema})
	return err
}

// isSchemaFormat reports whether a format is read as JSON Schema. The empty one is AsyncAPI's own.
func isSchemaFormat(format string) bool {
	for _, known := range []string{
		"application/vnd.aai.asyncapi", "application/schema+json", "application/schema+yaml",
		"application/vnd.oai.openapi",
	} {
		if strings.HasPrefix(format, known) {
			return true
		}
	}
	return format == ""
}

// messageExamples returns the payloads of a message's examples.
func messageExamples(message node) (out []any) {
	examples := message.child("examples")
	list, _ := examples.value.([]any)
	for i := range list {
		fields, _ := examples.item(i).value.(map[string]any)
		if payload, ok := fields["payload"]; ok {
			out = append(out, payload)
		}
	}
	return out
}
