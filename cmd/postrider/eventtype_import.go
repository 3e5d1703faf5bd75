package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
	"github.com/postrider/postrider/pkg/catalogue"
)

func newEventTypeImportCmd(f *apiFlags) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Create or replace the event types of a document", Args: cobra.ExactArgs(1),
		Long: `Create or replace the event types of a document: OpenAPI 3 with webhooks, AsyncAPI 2 or 3, or a catalogue file of Postrider,
in JSON or YAML; - is standard input. The document is checked as a whole before anything is written. Event types that it does
not name stay as they are.` + apiHelp,
		Example: `  postrider event-type import openapi.yaml
  postrider event-type import --dry-run catalogue.yaml`,
		RunE: f.managing(func(m *manager, args []string) error {
			raw, err := readInput(m.cmd, args[0])
			if err != nil {
				return err
			}
			types, err := parseEventTypes(args[0], raw)
			if err != nil {
				return err
			}
			return importEventTypes(m, types, dryRun)
		}),
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "write nothing, and show what would be written")
	f.addWait(cmd)
	return cmd
}

// parseEventTypes reads a document of any of the kinds.
func parseEventTypes(name string, raw []byte) ([]catalogue.EventType, error) {
	var kind struct {
		OpenAPI  any `yaml:"openapi"`
		AsyncAPI any `yaml:"asyncapi"`
	}
	if err := yaml.Unmarshal(raw, &kind); err == nil && (kind.OpenAPI != nil || kind.AsyncAPI != nil) {
		types, err := catalogue.Import(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return types, nil
	}
	file, err := catalogue.ParseFile(name, raw)
	if err != nil {
		return nil, err
	}
	return file.EventTypes, nil
}

// imported is what an import did to an event type.
type imported struct {
	Name   string `json:"name"`
	Result string `json:"result"` // created, replaced, or with --dry-run would be written
}

func importEventTypes(m *manager, types []catalogue.EventType, dryRun bool) error {
	done := make([]imported, 0, len(types))
	wait := m.wait
	for i := range types {
		et := &types[i]
		result := "would be written"
		if !dryRun {
			m.wait = wait && i == len(types)-1 // whoever has the last one has them all
			answer, err := m.call(client.Call{Method: http.MethodPut, Path: client.Path("event-type", et.Name), Body: upsertOf(et)}, nil)
			if err != nil {
				return fmt.Errorf("%s: %w (%d of %d were written)", et.Name, err, i, len(types))
			}
			if result = "replaced"; answer.Status == http.StatusCreated {
				result = "created"
			}
		}
		done = append(done, imported{et.Name, result})
		if !m.json {
			fmt.Fprintf(m.out, "%s %s\n", et.Name, result)
		}
	}
	if !m.json {
		return nil
	}
	raw, err := json.Marshal(done)
	if err != nil {
		return fmt.Errorf("encoding result: %w", err)
	}
	return m.printJSON(raw)
}

func upsertOf(et *catalogue.EventType) fields {
	body := fields{"description": et.Description, "archived": et.Archived, "deprecated": et.Deprecated}
	if len(et.Schemas) > 0 {
		body["schemas"] = et.Schemas
	}
	if et.GroupName != "" {
		body["groupName"] = et.GroupName
	}
	if len(et.FeatureFlags) > 0 {
		body["featureFlags"] = et.FeatureFlags
	}
	return body
}

func newEventTypeExportCmd(f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use: "export [FILE]", Short: "Write all event types as an OpenAPI document", Args: cobra.MaximumNArgs(1),
		Long: `Write all event types as an OpenAPI document, which import reads, to FILE or standard output.` + apiHelp,
		RunE: f.managing(func(m *manager, args []string) error {
			answer, err := m.call(client.Call{Method: http.MethodGet, Path: client.Path("event-type", "export", "openapi")}, nil)
			if err != nil {
				return err
			}
			if len(args) == 0 || args[0] == "-" {
				return m.printJSON(answer.Body)
			}
			if err := os.WriteFile(filepath.Clean(args[0]), append(answer.Body, '\n'), 0o600); err != nil {
				return fmt.Errorf("writing document: %w", err)
			}
			return nil
		}),
	}
}

// readJSON reads a JSON value from a file, - for standard input.
func readJSON(cmd *cobra.Command, name string) (json.RawMessage, error) {
	raw, err := readInput(cmd, name)
	if err != nil {
		return nil, err
	}
	if err := checkJSON(raw); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return raw, nil
}

// checkJSON says where text is no JSON.
func checkJSON(raw []byte) error {
	var v any
	err := json.Unmarshal(raw, &v)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("want JSON: %w, after %d bytes", err, syntax.Offset)
	}
	return err
}
