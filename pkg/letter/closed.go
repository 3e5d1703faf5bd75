package letter

import "maps"

// closed is a set of places, a bit each: letters are closed in stretches, so that a million takes about half a megabyte.
type closed map[closedWord]uint64

// closedWord names 64 offsets of a partition.
type closedWord struct {
	partition int32
	word      int64
}

func bit(partition int32, offset int64) (closedWord, uint64) {
	return closedWord{partition, offset / 64}, 1 << uint(offset%64) //nolint:gosec // offsets are not negative
}

func (c closed) add(partition int32, offset int64) {
	if offset < 0 {
		return // of a mark that somebody else wrote
	}
	w, b := bit(partition, offset)
	c[w] |= b
}

func (c closed) has(partition int32, offset int64) bool {
	w, b := bit(partition, max(offset, 0))
	return c[w]&b != 0
}

// expire forgets what the log does not have any more.
func (c closed) expire(starts map[int32]int64) {
	maps.DeleteFunc(c, func(w closedWord, _ uint64) bool {
		start, ok := starts[w.partition]
		return ok && w.word < start/64
	})
}

func (c closed) clone() closed { return maps.Clone(c) }
