package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
)

// letterBatch is how many letters a command has dealt with in one request: a second's work, between two steps of its progress.
const letterBatch = 250

// letterVerb is what is done to letters.
type letterVerb struct {
	name, short, long   string
	doing, done, things string
}

var (
	redriveVerb = letterVerb{
		"redrive", "Put dead letters back into delivery", `Puts dead letters back into delivery, oldest first. A dead letter that is redriven twice is delivered once; one that dies again is a
new dead letter. The retry policy starts anew. Those of endpoints that are disabled or deleted are skipped. What dies while the
command runs is not redriven by it. It can be ended at any time and begun again.`,
		"redriving", "redriven", "dead letters",
	}
	discardVerb = letterVerb{
		"discard", "Give up dead letters for good", `Gives up dead letters for good, oldest first: they are listed no more. Their records stay in Kafka for 30 days.`,
		"discarding", "discarded", "dead letters",
	}
	reingestVerb = letterVerb{
		"reingest", "Put rejected records back into the topics they came from", `Puts rejected records back into the source topics they came from, oldest first, for when a mapping was mended: with the key, bytes,
headers and timestamp that they came with. An event that is put back twice is delivered once. What the API, as it is configured,
would reject again is skipped; --unchecked puts that back, too.`,
		"putting back", "put back", "records",
	}
)

// actFlags are those of every action on letters.
type actFlags struct {
	all, dryRun bool
	rate        float64
}

func (a *actFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.all, "all", false, "really all: needed if nothing else narrows it down")
	cmd.Flags().BoolVar(&a.dryRun, "dry-run", false, "count, and do nothing")
	cmd.Flags().Float64Var(&a.rate, "rate", 0, "how many a second at most (default as fast as possible)")
}

// shownDone is what the API says that it did.
type shownDone struct {
	Count    int            `json:"count"`
	Skipped  map[string]int `json:"skipped"`
	Iterator *string        `json:"iterator"`
	Done     bool           `json:"done"`
}

// add adds what another request did.
func (d *shownDone) add(more shownDone) {
	d.Count, d.Iterator, d.Done = d.Count+more.Count, more.Iterator, more.Done
	if d.Skipped == nil {
		d.Skipped = map[string]int{}
	}
	for why, n := range more.Skipped {
		d.Skipped[why] += n
	}
}

// skipped says how many were, and why; empty for none.
func (d *shownDone) skipped() string {
	var parts []string
	for _, why := range slices.Sorted(maps.Keys(d.Skipped)) {
		parts = append(parts, fmt.Sprintf("%d %s", d.Skipped[why], strings.ReplaceAll(why, "_", " ")))
	}
	if len(parts) == 0 {
		return ""
	}
	return "; skipped: " + strings.Join(parts, ", ")
}

// act deals with letters batch by batch, each in a request of its own, and tells how far it is. counted says that the API
// counts all of them at once.
func (m *manager) act(path string, body fields, verb letterVerb, flags actFlags, counted bool) error {
	if flags.rate < 0 {
		return fmt.Errorf("--rate: %v: want a positive number", flags.rate)
	}
	if flags.all {
		body["all"] = true
	}
	var sum shownDone
	post := func(extra fields) error {
		var done shownDone
		all := maps.Clone(body)
		maps.Copy(all, extra)
		_, err := m.call(client.Call{Method: http.MethodPost, Path: path, Body: all}, &done)
		sum.add(done)
		return err
	}
	total := -1
	if counted {
		if err := post(fields{"dryRun": true}); err != nil {
			return err
		}
		total = sum.Count
	}
	if flags.dryRun {
		for extra := (fields{"dryRun": true, "limit": letterBatch}); !counted; extra["iterator"] = sum.Iterator {
			if err := post(extra); err != nil {
				return err
			}
			counted = sum.Done
		}
		_, err := fmt.Fprintf(m.out, "%d %s would be %s%s\n", sum.Count, verb.things, verb.done, sum.skipped())
		return err
	}
	return m.actBatches(post, &sum, verb, flags.rate, total)
}

// actInBackground has the API deal with letters in a background task, and watches that.
func (m *manager) actInBackground(path string, body fields, flags actFlags) error {
	if flags.all {
		body["all"] = true
	}
	if flags.rate != 0 {
		body["perSecond"] = int(flags.rate)
	}
	body["background"], body["dryRun"] = true, flags.dryRun
	var started struct{ Task shownTask }
	if _, err := m.call(client.Call{Method: http.MethodPost, Path: path, Body: body}, &started); err != nil {
		return err
	}
	return m.watch(started.Task.ID)
}

// actBatches makes the requests of an action until nothing is left.
func (m *manager) actBatches(post func(fields) error, sum *shownDone, verb letterVerb, rate float64, total int) error {
	*sum = shownDone{}
	bar, began := newProgress(m.err, verb.doing, verb.things, verb.done), time.Now()
	bar.begin(total)
	extra := fields{"limit": batchOf(rate)}
	var err error
	for !sum.Done && err == nil {
		before := sum.Count
		if err = post(extra); err == nil {
			bar.add(sum.Count - before)
			extra["iterator"] = sum.Iterator
			err = m.keepRate(rate, sum.Count, began, sum.Done)
		}
	}
	bar.end(sum.skipped(), time.Since(began))
	return err
}

// batchOf is how many letters a request deals with: at a rate no more than a second's.
func batchOf(rate float64) int {
	if rate > 0 {
		return max(1, min(letterBatch, int(rate)))
	}
	return letterBatch
}

// keepRate waits until so many letters may have been dealt with.
func (m *manager) keepRate(rate float64, n int, began time.Time, done bool) error {
	if rate == 0 || done {
		return nil
	}
	timer := time.NewTimer(time.Until(began.Add(time.Duration(float64(n) / rate * float64(time.Second)))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-m.ctx.Done():
		return m.ctx.Err()
	}
}

// export writes an answer of lines to standard output.
func (m *manager) export(path string, query url.Values, things string) error {
	bar, began := newProgress(m.err, "exporting", things, "exported"), time.Now()
	bar.begin(-1)
	err := m.client.Stream(m.ctx, client.Call{Method: http.MethodGet, Path: path, Query: query}, func(line []byte) error {
		bar.add(1)
		_, err := m.out.Write(line)
		return err
	})
	bar.end("", time.Since(began))
	return err
}

func newDeadLettersActCmd(f *apiFlags, app *string, verb letterVerb) *cobra.Command {
	var in deadLetterFlags
	var flags actFlags
	var background bool
	cmd := &cobra.Command{
		Use: verb.name + " [DELIVERY…]", Short: verb.short, Long: verb.long + apiHelp,
		Example: strings.ReplaceAll(`  postrider deadletters VERB dlv_0001X…
  postrider deadletters VERB --app acme --endpoint crm --reason exhausted --dry-run
  postrider deadletters VERB --all --since 24h --rate 50`, "VERB", verb.name),
		RunE: f.managing(func(m *manager, args []string) error {
			body := in.body(args, time.Now())
			if len(body) == 0 && !flags.all {
				return fmt.Errorf("want a DELIVERY, a filter such as --endpoint, or --all")
			}
			if body["before"] == nil {
				body["before"] = time.Now().UTC().Format(time.RFC3339Nano)
			}
			path := deadLettersAt(*app, verb.name)
			if background {
				return m.actInBackground(path, body, flags)
			}
			return m.act(path, body, verb, flags, true)
		}),
	}
	in.add(cmd)
	flags.add(cmd)
	cmd.Flags().BoolVar(&background, "background", false, `as a background task of the API, which goes on when the command ends: see "postrider task"`)
	return cmd
}
