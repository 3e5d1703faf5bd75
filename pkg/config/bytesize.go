package config

import (
	"fmt"
	"strconv"
	"strings"
)

// ByteSize is a number of bytes, written with a binary unit: 256MiB.
type ByteSize int64

// units are the written units, largest first.
var units = []struct { //nolint:gochecknoglobals // a table
	name string
	size ByteSize
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// String writes b in the largest unit that divides it.
func (b ByteSize) String() string {
	for _, u := range units {
		if b != 0 && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return "0B"
}

// ParseByteSize reads a whole number and a unit: B, KiB, MiB or GiB. Without a unit it is bytes.
func ParseByteSize(s string) (ByteSize, error) {
	digits, unit := s, ByteSize(1)
	for _, u := range units {
		if d, ok := strings.CutSuffix(s, u.name); ok {
			digits, unit = d, u.size
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n < 0 || n > int64(1<<62)/int64(unit) {
		return 0, fmt.Errorf("%q: want a size such as 512KiB, 256MiB or 1GiB", s)
	}
	return ByteSize(n) * unit, nil
}
