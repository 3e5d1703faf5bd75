package view

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/postrider/postrider/pkg/ident"
)

// pieceRows is how many rows a string of a day has when the next one is begun, 64 MB: Redis has none above 512 MB, and moves one that
// grows.
const pieceRows = 4 << 20

// maxPieces is how many there may be of a day: 50,000 rows a second.
const maxPieces = 1024

// errTurned says that a string became full while it was read.
var errTurned = errors.New("the rows of a day were put aside while they were read")

// turnsAtOnce is how often reading is tried again because of that: there are seconds between two.
const turnsAtOnce = 3

// digests returns what is known of days of a subscription, up to this moment; those without any rows are empty.
func (r *Redis) digests(ctx context.Context, sub ident.ID, days []int64) (out []*digest, err error) {
	for range turnsAtOnce {
		if out, err = r.readDigests(ctx, sub, days); !errors.Is(err, errTurned) {
			break
		}
	}
	return out, err
}

// tail are rows that a digest does not have.
type tail struct {
	d          *digest
	day        int64
	n          int // of the piece
	start, got *redis.StringCmd
}

func (r *Redis) readDigests(ctx context.Context, sub ident.ID, days []int64) ([]*digest, error) {
	if len(days) == 0 {
		return nil, nil
	}
	keys, pipe := r.subKeys(sub), r.client.Pipeline()
	starts, known := make([]*redis.StringCmd, len(days)), make([]*redis.StringCmd, len(days))
	for i, day := range days {
		known[i] = pipe.Get(ctx, keys.digest(day)) // first: it has fewer rows than what is read later
		starts[i] = pipe.GetRange(ctx, keys.current(day), 0, entryBytes-1)
	}
	if err := r.read(ctx, pipe); err != nil {
		return nil, err
	}
	pipe = r.client.Pipeline()
	out, tails := make([]*digest, len(days)), []tail(nil)
	heads := make([]header, len(days))
	for i, day := range days {
		d, err := parseDigest(known[i].Val())
		if err != nil {
			return nil, err
		}
		out[i] = d
		h, ok, err := parseHeader(starts[i].Val())
		switch {
		case err != nil:
			return nil, err
		case !ok:
			continue
		}
		d.partition, heads[i] = h.partition, h
		for n, from := d.pieces, d.rows; n <= h.pieces; n, from = n+1, 0 {
			key := keys.piece(day, n, h.pieces)
			tails = append(tails, tail{
				d: d, day: day, n: n, got: pipe.GetRange(ctx, key, int64(from+1)*entryBytes, -1), start: pipe.GetRange(ctx, key, 0, entryBytes-1),
			})
		}
		starts[i] = pipe.GetRange(ctx, keys.current(day), 0, entryBytes-1) // after the rows: it tells whose they are
	}
	if len(tails) == 0 {
		return out, nil
	}
	if err := r.read(ctx, pipe); err != nil {
		return nil, err
	}
	for i := range days {
		if h, ok, err := parseHeader(starts[i].Val()); err != nil || ok && h != heads[i] {
			return nil, cmp.Or(err, errTurned)
		}
	}
	for _, t := range tails {
		if err := t.add(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// read runs a pipeline of reads. What is not there is no error.
func (r *Redis) read(ctx context.Context, pipe redis.Pipeliner) error {
	_, err := pipe.Exec(ctx)
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	return r.done(err)
}

// add adds the rows to the digest.
func (t *tail) add() error {
	h, ok, err := parseHeader(t.start.Val())
	if err != nil || !ok {
		return err // it has just expired
	}
	b := []byte(t.got.Val())
	if t.n > t.d.pieces {
		t.d.pieces, t.d.rows = t.n, 0
	}
	t.d.rows += len(b) / entryBytes
	for some := range slices.Chunk(b[:len(b)/entryBytes*entryBytes], entryBytes) {
		e := parseEntry(t.day, h.base, some)
		t.d.add(&e)
	}
	return nil
}

// digestDay makes the digest of a day that has grown, and begins another string if the one that is written is full. It is for the owner
// of the partition.
func (r *Redis) digestDay(ctx context.Context, sub ident.ID, day int64) error {
	found, err := r.digests(ctx, sub, []int64{day})
	if err != nil {
		return err
	}
	d, keys := found[0], r.subKeys(sub)
	if d.rows == 0 && d.pieces == 0 {
		return nil // expired
	}
	pipe := r.client.Pipeline()
	pipe.Do(ctx, "SET", keys.digest(day), d.String(), "PXAT", r.dayEnds(day))
	start := pipe.GetRange(ctx, keys.current(day), 0, entryBytes-1)
	if err := r.read(ctx, pipe); err != nil {
		return err
	}
	h, ok, err := parseHeader(start.Val())
	if err != nil || !ok || d.rows < r.piece || h.pieces != d.pieces || h.pieces >= maxPieces {
		return err
	}
	next := header{pieces: h.pieces + 1, partition: h.partition, base: d.offset}
	return r.send(ctx, []*call{{
		script: turning, keys: []string{keys.current(day), keys.piece(day, h.pieces, h.pieces+1)},
		args: []any{h.String(), next.String(), r.dayEnds(day)},
	}})
}
