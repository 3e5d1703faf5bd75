package letter

import (
	"errors"
	"strconv"
	"strings"

	"github.com/postrider/postrider/pkg/ident"
)

// Cursor is a place in a list of letters. It stays good when its letter is closed.
type Cursor place

// CursorOf is the place of a letter.
func CursorOf[L Letter](l L) Cursor { return Cursor(placeOf(l.head())) }

// CursorAt is the place of the letter of an id that was written at a time, Unix milliseconds.
func CursorAt(at int64, id ident.ID) Cursor { return Cursor{at, id} }

// ID is that of the letter.
func (c Cursor) ID() ident.ID { return c.id }

// String writes the cursor in letters, digits and a dot; the zero cursor is empty.
func (c Cursor) String() string {
	if c == (Cursor{}) {
		return ""
	}
	return strconv.FormatInt(c.at, 10) + "." + c.id.Base62("")
}

// ErrCursor is the refusal of a text that no [Cursor.String] wrote.
var ErrCursor = errors.New("malformed iterator of letters")

// ParseCursor reads what [Cursor.String] writes.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	at, id, ok := strings.Cut(s, ".")
	ms, err := strconv.ParseInt(at, 10, 64)
	parsed, err2 := ident.ParseBase62("", id)
	if !ok || err != nil || err2 != nil {
		return Cursor{}, ErrCursor
	}
	return Cursor{ms, parsed}, nil
}
