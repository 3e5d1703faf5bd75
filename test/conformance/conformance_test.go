// Package conformance holds, for every profile, a history of what goes over the wire: events in, exact requests out, over
// success, failure, the whole retry ladder, disabling and enabling. testdata/PROFILE.txtar has a script, which is played
// by the real roles in virtual time, and the history that it led to. "go test ./test/conformance -update" writes the
// histories anew; whoever does reads the difference line by line against the system's documents.
//
// A history has a section for each case of the script, and the case's commands (>) with what followed. Times are those since
// the case's first try. The first request of a case is shown whole, as it came over the wire; of others stand the lines that
// differ from it; a body that has another event's id and is the same otherwise is left out. Of what several events come to
// alike, one after the other, the first is shown.
//
// What the histories show is checked besides, for every request of every history: its signature is right, and wrong as soon
// as a byte of it is another; a try differs from the delivery's first one in what it has to alone; none is early.
package conformance

import (
	"bytes"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/configs"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/test/internal/world"
	"github.com/postrider/postrider/test/suite"
)

func TestMain(m *testing.M) { suite.Main(m) }

var update = flag.Bool("update", false, "write the histories anew")

// Names of the sections of an archive.
const (
	eventsSection  = "events"
	scriptSection  = "script"
	historySection = "history"
)

func profiles(t *testing.T) profile.Set {
	t.Helper()
	set, err := profile.Load(configs.Profiles)
	require.NoError(t, err)
	return set
}

func archiveOf(name string) string { return filepath.Join("testdata", name+".txtar") }

// Under the race detector everything takes some ten times as long, so there the long cases are left out; "make verify" runs
// them without.
func TestHistories(t *testing.T) {
	t.Parallel()
	set := profiles(t)
	for _, name := range set.Names() {
		p, _ := set.Get(name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(archiveOf(name))
			require.NoError(t, err)
			text := map[string]string{}
			for _, f := range archive.Files {
				text[f.Name] = string(f.Data)
			}
			cases, err := parse(text[scriptSection])
			require.NoError(t, err)
			events, err := parseEvents(text[eventsSection])
			require.NoError(t, err)
			var history bytes.Buffer
			world.Run(t, func(t *testing.T, w *world.World) {
				p := newPlayer(t, w, p, events)
				defer p.end()
				for _, c := range cases {
					if !c.long || !raceEnabled {
						p.play(t, &history, c)
					}
				}
			})
			want := text[historySection]
			if raceEnabled {
				want = short(want, cases)
			}
			if *update {
				require.False(t, raceEnabled, "-update with -race would leave out the long cases")
				archive.Files[slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == historySection })].Data = history.Bytes()
				require.NoError(t, os.WriteFile(archiveOf(name), txtar.Format(archive), 0o600))
				return
			}
			require.Empty(t, cmp.Diff(strings.Split(want, "\n"), strings.Split(history.String(), "\n")), "see the package comment for how to write it anew")
		})
	}
}

// short returns a history without those of the long cases.
func short(history string, cases []testCase) string {
	for _, c := range cases {
		if c.long {
			history, _, _ = strings.Cut(history, title(c))
			break
		}
	}
	return history
}

func title(c testCase) string { return "== " + c.name + "\n" }

// everyProfile are the cases that no profile does without.
var everyProfile = []string{"success", "client-error", "server-error", "timeout", "redirect", "gone", "ladder", "enabled-again"}

// A profile without a history, or whose history leaves out what all are asked, is not known to conform.
func TestEveryProfileHasItsHistory(t *testing.T) {
	t.Parallel()
	shipped, err := fs.Glob(configs.Profiles, "profiles/*.yaml")
	require.NoError(t, err)
	want := map[string]bool{}
	for _, file := range shipped {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		want[archiveOf(name)] = true
		archive, err := txtar.ParseFile(archiveOf(name))
		require.NoError(t, err)
		var script string
		for _, f := range archive.Files {
			if f.Name == scriptSection {
				script = string(f.Data)
			}
		}
		cases, err := parse(script)
		require.NoError(t, err)
		var names []string
		for _, c := range cases {
			names = append(names, c.name)
		}
		require.Subset(t, names, everyProfile, name)
	}
	have, err := filepath.Glob(archiveOf("*"))
	require.NoError(t, err)
	require.ElementsMatch(t, slices.Collect(maps.Keys(want)), have)
}
