package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
)

// defaultAPI is where "postrider api" listens unless it is told otherwise.
const defaultAPI = "http://localhost:8070"

// apiHelp ends the help of commands that use the API.
const apiHelp = `

The command uses the management API at --api with the token of a key, see "postrider key create".`

// apiFlags are the flags of the commands that use the API.
type apiFlags struct {
	address, token, tokenFile, output string
	wait                              bool
}

func (f *apiFlags) add(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.address, "api", "", "address of the management API (POSTRIDER_SERVER), "+defaultAPI+" if left out")
	flags.StringVar(&f.token, "token", "", "token of an API key (POSTRIDER_TOKEN)")
	flags.StringVar(&f.tokenFile, "token-file", "", "file with the token, which others do not see in the list of processes")
	flags.StringVarP(&f.output, "output", "o", "text", "how to print: text, or json as the API sends it")
}

// addWait adds --wait, which is of commands that write.
func (f *apiFlags) addWait(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.wait, "wait", false, "return once every live router and deliverer has the change")
}

func (f *apiFlags) client() (*client.Client, error) {
	address, token := f.address, f.token
	if address == "" {
		address = os.Getenv("POSTRIDER_SERVER")
	}
	if address == "" {
		address = defaultAPI
	}
	switch {
	case f.tokenFile != "" && token != "":
		return nil, errors.New("--token and --token-file: want one of them")
	case f.tokenFile != "":
		raw, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		token = strings.TrimSpace(string(raw))
	case token == "":
		token = os.Getenv("POSTRIDER_TOKEN")
	}
	if token == "" {
		return nil, errors.New("--token: missing (and --token-file, POSTRIDER_TOKEN): want the token of a key, 'postrider key create' makes one")
	}
	c, err := client.New(address, token)
	if err != nil {
		return nil, fmt.Errorf("--api: %w", err)
	}
	return c, nil
}

// manager is a command at work with the API.
type manager struct {
	ctx      context.Context // it lives as long as the command
	client   *client.Client
	cmd      *cobra.Command
	out, err io.Writer
	json     bool
	wait     bool
}

// managing returns what runs a command with the API.
func (f *apiFlags) managing(run func(*manager, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(f.output); err != nil {
			return err
		}
		c, err := f.client()
		if err != nil {
			return err
		}
		return run(&manager{
			ctx: cmd.Context(), client: c, cmd: cmd, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(),
			json: f.output == "json", wait: f.wait,
		}, args)
	}
}

// call makes a call and decodes the answer into out, unless that is nil. A write waits if the command was told to.
func (m *manager) call(call client.Call, out any) (*client.Answer, error) {
	if m.wait && call.Method != http.MethodGet {
		q := url.Values{"wait": {"applied"}}
		maps.Copy(q, call.Query)
		call.Query = q
	}
	answer, err := m.client.Do(m.ctx, call)
	if err != nil {
		return nil, err
	}
	if applied := answer.Header.Get("Postrider-Applied"); m.wait && applied != "" && applied != "all" {
		fmt.Fprintf(m.err, "the change is made; who has it: %s\n", applied)
	}
	if views := answer.Header.Get("Postrider-Views"); views != "" && views != "complete" {
		fmt.Fprintf(m.err, "how far the views are of which this is made: %s\n", views)
	}
	if out == nil || len(answer.Body) == 0 {
		return answer, nil
	}
	if err := json.Unmarshal(answer.Body, out); err != nil {
		return nil, fmt.Errorf("decoding answer: %w", err)
	}
	return answer, nil
}

// do makes a call that answers with one object and prints it: as JSON, or as what text says of it. The object is shown to
// others, too.
func do[T any](m *manager, call client.Call, text func(*T) string, others ...func(*T)) error {
	var v T
	answer, err := m.call(call, &v)
	if err != nil {
		return err
	}
	for _, show := range others {
		show(&v)
	}
	if m.json {
		return m.printJSON(answer.Body)
	}
	_, err = fmt.Fprint(m.out, text(&v))
	return err
}

// quietly makes a call whose answer is empty and prints what was done; with JSON nothing.
func (m *manager) quietly(call client.Call, format string, args ...any) error {
	if _, err := m.call(call, nil); err != nil || m.json {
		return err
	}
	_, err := fmt.Fprintf(m.out, format+"\n", args...)
	return err
}

// list prints a whole list: one JSON array, or a table.
func list[T any](m *manager, path string, query url.Values, limit int, heading string, cells func(*T) []string) error {
	all := []json.RawMessage{}
	for e, err := range m.client.List(m.ctx, path, query) {
		if err != nil {
			return err
		}
		if all = append(all, e); len(all) == limit {
			break
		}
	}
	if m.json {
		raw, err := json.Marshal(all)
		if err != nil {
			return fmt.Errorf("encoding list: %w", err)
		}
		return m.printJSON(raw)
	}
	w := tabwriter.NewWriter(m.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, heading)
	for _, raw := range all {
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			return fmt.Errorf("decoding list: %w", err)
		}
		fmt.Fprintln(w, strings.Join(cells(&v), "\t"))
	}
	return w.Flush()
}

func (m *manager) printJSON(raw json.RawMessage) error {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return fmt.Errorf("printing answer: %w", err)
	}
	b.WriteByte('\n')
	_, err := m.out.Write(b.Bytes())
	return err
}

// fields are the members of a body of which there are only those that flags were given for.
type fields map[string]any

// set sets a member if the flag was given.
func (f fields) set(cmd *cobra.Command, flag, member string, v any) {
	if cmd.Flags().Changed(flag) {
		f[member] = v
	}
}

// lines renders names and values, for people.
func lines(pairs ...string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", pairs[i], pairs[i+1])
		}
	}
	_ = w.Flush() // a Builder takes everything
	return b.String()
}

// group makes a command that only holds others.
func group(use, short, long string, flags *apiFlags, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long + apiHelp, Args: subcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags.add(cmd)
	cmd.AddCommand(subs...)
	return cmd
}
