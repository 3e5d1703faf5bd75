package filter

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"github.com/tidwall/gjson"

	"github.com/postrider/postrider/pkg/event"
)

// Input is an event as expressions see it. Its data is decoded when the first expression asks for it, and once however
// many do. The zero value is not usable; make one with [NewInput], or point one that is done with at the next event with
// [Input.Reset]. It is for one goroutine.
type Input struct {
	ev      *event.Event
	decoded bool
	data    any  // nil: is not JSON
	refused bool // the expression that is being evaluated asked for data that is not JSON
}

var _ cel.Activation = (*Input)(nil)

// NewInput returns the input of an event, which must not change while it is used.
func NewInput(ev *event.Event) *Input { return &Input{ev: ev} }

// Reset makes in the input of another event.
func (in *Input) Reset(ev *event.Event) { *in = Input{ev: ev} }

// ResolveName implements [cel.Activation].
func (in *Input) ResolveName(name string) (any, bool) {
	switch name {
	case varData:
		data := in.decode()
		in.refused = data == nil
		return data, data != nil
	case varType:
		return types.String(in.ev.Type), true
	case varID:
		return types.String(in.ev.ID), true
	case varSource:
		return types.String(in.ev.Source), true
	case varTime:
		return types.Timestamp{Time: in.ev.Time}, true
	case varChannels:
		return in.ev.Channels, true
	}
	return nil, false
}

// Parent implements [cel.Activation].
func (*Input) Parent() cel.Activation { return nil }

func (in *Input) decode() any {
	if !in.decoded {
		in.decoded = true
		if in.ev.IsJSON() && utf8.Valid(in.ev.Data) && gjson.ValidBytes(in.ev.Data) {
			// The data outlives the input, and strings of the decoded values may be parts of it.
			in.data = value(gjson.Parse(unsafe.String(unsafe.SliceData(in.ev.Data), len(in.ev.Data)))) //nolint:gosec // not changed
		}
	}
	return in.data
}

// value returns a JSON value in the types that expressions work with; they need no conversion at each access then. Of
// members of the same name the last one counts. [event.Decoder] bounds the depth.
func value(r gjson.Result) any {
	switch r.Type {
	case gjson.True, gjson.False:
		return types.Bool(r.Type == gjson.True)
	case gjson.Number:
		return number(r.Raw, r.Num)
	case gjson.String:
		if len(r.Str) > maxText {
			return types.NewErr("text of %d bytes: filters look at texts of at most %d", len(r.Str), maxText)
		}
		return types.String(r.Str)
	case gjson.JSON:
		if r.IsArray() {
			return list(r)
		}
		m := map[string]any{}
		r.ForEach(func(name, v gjson.Result) bool {
			m[name.Str] = value(v)
			return true
		})
		return types.NewStringInterfaceMap(types.DefaultTypeAdapter, m)
	default:
		return types.NullValue
	}
}

func list(r gjson.Result) any {
	values := []any{}
	r.ForEach(func(_, v gjson.Result) bool {
		values = append(values, value(v))
		return true
	})
	return types.NewDynamicList(types.DefaultTypeAdapter, values)
}

// number returns an integer where the number is one and fits: 10, 10.0 and 1e1 are the same in JSON.
func number(raw string, f float64) any {
	if !strings.ContainsAny(raw, ".eE") {
		if i, err := strconv.ParseInt(raw, 10, 64); err == nil {
			return types.Int(i)
		}
		if u, err := strconv.ParseUint(raw, 10, 64); err == nil {
			return types.Uint(u)
		}
		return types.Double(f)
	}
	if f == math.Trunc(f) && math.Abs(f) <= maxExact {
		return types.Int(int64(f))
	}
	return types.Double(f)
}

// maxExact is the greatest integer up to which a double holds every integer: 2^53.
const maxExact = 1 << 53
