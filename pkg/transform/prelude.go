package transform

// prelude defines the functions of jq whose definition is written in jq, and what guards those of the interpreter that
// work in one step in proportion to a whole value. Three kinds of names are for the prelude alone: __name is a function
// of this package in jq or Go, raw_name is the interpreter's own of that name, unguarded. Operators and .[] are guarded here
// as in any program.
const prelude = `
def __empty: raw_empty;
def __not: if . then false else true end;
def __select(f): if f then . else empty end;
def __error: raw_error;
def __error(x): raw_error(x);

def __path(f): raw_path(f) | __shallow;
def __getpath(p): p as $p | __steps($p) | raw_getpath($p);
def __setpath(p; v): v as $v | p as $p | __edit as $e | $e | __put($p; $v) | $e | __result;
def __delpaths(ps): ps as $ps | __edit as $e | reduce $ps[] as $p (null; $e | __remove($p)) | $e | __result;
def __assign(p; x): x as $x | __edit as $e | reduce path(p) as $p (null; $e | __put($p; $x)) | $e | __result;
def __modify(p; f): __edit as $e
  | reduce path(p) as $p (null;
      label $done | ($e | __get($p) | f | . as $v | $e | __put($p; $v) | ., break $done), ($e | __remove($p)))
  | $e | __result;

def __map(f): [.[] | f];
def __map_values(f): .[] |= f;
def __recurse(f): def r: ., (f | r); r;
def __recurse: recurse(.[]?);
def __recurse(f; cond): def r: ., (f | select(cond) | r); r;
def __range(to): to as $to | raw__range(0; $to; 1);
def __range(from; to): from as $from | to as $to | raw__range($from; $to; 1);
def __range(from; to; by): from as $from | to as $to | by as $by | raw__range($from; $to; $by);
def __while(cond; update): def r: if cond then ., (update | r) else empty end; r;
def __until(cond; next): def r: if cond then . else next | r end; r;
def __repeat(f): def r: ., (f | r); r;
def __del(f): delpaths([path(f)]);
def __paths: path(..) | select(. != []);
def __paths(f): path(.. | select(f)) | select(. != []);
def __pick(f): . as $v | reduce path(f) as $p (null; setpath($p; $v | getpath($p)));
def __in(xs): . as $x | xs | has($x);
def __walk(f): def w: if type == "object" then map_values(w) elif type == "array" then map(w) else . end | f; w;

def __first: .[0];
def __first(f): label $done | f | ., break $done;
def __last: .[-1];
def __last(f): reduce f as $x ([]; [$x]) | .[];
def __isempty(f): label $done | (f | false, break $done), true;
def __any(f; cond): isempty(f | select(cond)) | not;
def __any(cond): any(.[]; cond);
def __any: any(.[]; .);
def __all(f; cond): isempty(f | select(cond | not));
def __all(cond): all(.[]; cond);
def __all: all(.[]; .);
def __limit(n; f): n as $n
  | if $n > 0 then label $done | foreach f as $x ($n; . - 1; $x, if . <= 0 then break $done else empty end)
    elif $n == 0 then empty else error("limit: want a count that is not negative") end;
def __skip(n; f): n as $n
  | if $n > 0 then foreach f as $x ($n; . - 1; if . < 0 then $x else empty end)
    elif $n == 0 then f else error("skip: want a count that is not negative") end;
def __nth(n): n as $n | .[$n];
def __nth(n; f): n as $n | if $n < 0 then error("nth: want an index that is not negative") else first(skip($n; f)) end;
def __IN(s): any(s == .; .);
def __IN(src; s): any(src == s; .);
def __INDEX(f; key): reduce f as $row ({}; .[$row | key | tostring] = $row);
def __INDEX(key): INDEX(.[]; key);

def __add(f): [f] | add;
def __with_entries(f): to_entries | map(f) | from_entries;
def __keys: __shallow | raw_keys;
def __length: __shallow | raw_length;
def __abs: if . < 0 then -. else . end;
def __reverse: __shallow | raw_reverse;
def __flatten: __deep | raw_flatten;
def __flatten(n): n as $n | __deep | raw_flatten($n);
def __min: __deep | raw_min;
def __max: __deep | raw_max;
def __sort: __sorted | raw_sort;
def __unique: __sorted | raw_unique;
def __min_by(f): [.[] | [f]] as $k | ($k | __deep) as $_ | raw__min_by($k);
def __max_by(f): [.[] | [f]] as $k | ($k | __deep) as $_ | raw__max_by($k);
def __sort_by(f): [.[] | [f]] as $k | ($k | __sorted) as $_ | raw__sort_by($k);
def __unique_by(f): [.[] | [f]] as $k | ($k | __sorted) as $_ | raw__unique_by($k);
def __group_by(f): [.[] | [f]] as $k | ($k | __sorted) as $_ | raw__group_by($k);
def __contains(x): x as $x | __product($x) | raw_contains($x);
def __inside(x): x as $x | __product($x) | raw_inside($x);
def __indices(x): x as $x | __product($x) | raw_indices($x);
def __index(x): x as $x | __product($x) | raw_index($x);
def __rindex(x): x as $x | __product($x) | raw_rindex($x);

def __explode: __text | raw_explode;
def __implode: __shallow | raw_implode;
def __ascii_downcase: __shallow | raw_ascii_downcase;
def __ascii_upcase: __shallow | raw_ascii_upcase;
def __tonumber: __short | raw_tonumber;
def __tostring: __deep | raw_tostring;
def __tojson: __deep | raw_tojson;
def __format(f): f as $f | __deep | raw_format($f);

def __strftime(f): f as $f | ($f | __short) as $_ | raw_strftime($f);
def __strptime(f): f as $f | ($f | __short | __zone) as $_ | raw_strptime($f);
def __mktime: raw_mktime;
def __todateiso8601: strftime("%Y-%m-%dT%H:%M:%SZ");
def __fromdateiso8601: strptime("%Y-%m-%dT%H:%M:%S%z") | mktime;
def __todate: todateiso8601;
def __fromdate: fromdateiso8601;

def __match(re; flags): re as $re | flags as $flags
  | if $re | type == "array" then __match2($re[0]; $re[1])[] else __match2($re; $flags)[] end;
def __match(re): match(re; null);
def __test(re; flags): isempty(match(re; flags)) | not;
def __test(re): test(re; null);
def __capture(re; flags): match(re; flags)
  | reduce (.captures[] | select(.name != null)) as {$name, $string} ({}; .[$name] = $string);
def __capture(re): capture(re; null);
def __scan(re; flags): flags as $flags | match(re; $flags + "g")
  | if .captures == [] then .string else [.captures[].string] end;
def __scan(re): scan(re; null);
def __split(re; flags): re as $re | flags as $flags
  | [__pieces($re; $flags + "g") | .[] | if type == "array" then .[0] else . end];
def __splits(re; flags): split(re; flags)[];
def __splits(re): split(re; null)[];
def __sub(re; to; flags): re as $re | flags as $flags
  | [__pieces($re; $flags) | .[] | if type == "array" then .[0], first(.[1] | to) else . end] | __concat;
def __sub(re; to): sub(re; to; null);
def __gsub(re; to; flags): flags as $flags | sub(re; to; $flags + "g");
def __gsub(re; to): sub(re; to; "g");

def __arrays: select(type == "array");
def __objects: select(type == "object");
def __iterables: select(type == "array" or type == "object");
def __booleans: select(type == "boolean");
def __numbers: select(type == "number");
def __finites: select(isfinite);
def __normals: select(isnormal);
def __strings: select(type == "string");
def __nulls: select(. == null);
def __values: select(. != null);
def __scalars: select(type != "array" and type != "object");
`

// native are the functions of the interpreter that need no guard: they work on one number, or on one text without copying
// it, and their results are the same on every machine and at every time.
var native = setOf( //nolint:gochecknoglobals // a table
	"type/0", "utf8bytelength/0", "has/1", "toboolean/0",
	"startswith/1", "endswith/1", "ltrimstr/1", "rtrimstr/1", "trimstr/1", "ltrim/0", "rtrim/0", "trim/0",
	"gmtime/0", "infinite/0", "nan/0", "isinfinite/0", "isfinite/0", "isnan/0", "isnormal/0",
	"floor/0", "round/0", "ceil/0", "trunc/0", "fabs/0", "sqrt/0", "rint/0", "nearbyint/0", "modf/0",
	"pow/2", "log/0", "log2/0", "log10/0", "exp/0", "exp2/0", "exp10/0", "fmin/2", "fmax/2", "fmod/2",
)

// refused are functions of jq that a program must not have, and why.
var refused = map[string]string{ //nolint:gochecknoglobals // a table
	"now": varies, "localtime": varies, "strflocaltime": varies, "date": varies, "dateadd": varies, "datesub": varies,
	"env": outside, "$ENV": outside, "input": outside, "inputs": outside, "input_filename": outside,
	"input_line_number": outside, "debug": outside, "stderr": outside, "$__prog_args": outside, "$__loc__": outside,
	"get_search_list": outside, "modulemeta": outside, "builtins": outside,
	"halt": stops, "halt_error": stops,
}

const (
	varies  = "a program must give the same for every try, so it has no clock and no time zone: see .timestamp"
	outside = "a program sees its input and nothing else"
	stops   = "want error(\"…\"), or {cancel: true} to send nothing"
)

func setOf(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}
