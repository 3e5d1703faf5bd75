package h2

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/postrider/postrider/pkg/sign"
)

// Errors of [Conn.Do] after which the request may be sent again, over another connection: the endpoint has not looked at it.
var (
	// ErrNoRoom is a connection that takes no further request, now or ever: [Conn.Ended] tells.
	ErrNoRoom = errors.New("the connection takes no request")
	// ErrUnprocessed is a request that the endpoint says it has not processed, or of which nothing was written (RFC 9113, section 8.7).
	ErrUnprocessed = errors.New("the endpoint has not processed the request")
	// ErrHTTP1 is an endpoint that wants HTTP/1.1 for it (RFC 9113, section 7: HTTP_1_1_REQUIRED).
	ErrHTTP1 = errors.New("the endpoint wants HTTP/1.1")
)

// errLost is a connection on which nothing comes back, not even the answer to a ping.
var errLost = errors.New("the connection was lost: a ping was not answered")

// GoAwayError is what an endpoint finds fault with that ends the connection.
type GoAwayError http2.ErrCode

// Error implements error.
func (e GoAwayError) Error() string {
	return "the endpoint ended the connection: " + http2.ErrCode(e).String()
}

// Request is what is sent. Nothing of it is checked but its size.
type Request struct {
	Method string
	// Authority is host, or host:port; Path begins with a slash, and has the query.
	Authority, Path string
	// Fields are sent in their order, their names in lower case as HTTP/2 has them.
	Fields []sign.Header
	// Body must not be changed until [Conn.Do] has returned.
	Body []byte
	// Deadline is when [Conn.Do] returns at the latest.
	Deadline time.Time
}

// Response is what came back. After an error it holds what was known until then.
type Response struct {
	// At is when its head came; zero if it did not.
	At     time.Time
	Status int
	// Lines are the fields, "name: value" and CRLF each. They are appended to what it was before.
	Lines []byte
	// Body is at most [Options.Body] long; nil if there is none.
	Body []byte
	// Truncated means that there was more.
	Truncated bool
}

// Options are the bounds of a connection. All are needed.
type Options struct {
	// Now gives [Response.At].
	Now func() time.Time
	// Head bounds the fields of a response, in bytes as RFC 9113, section 6.5.2 counts them, and those of 1xx responses with them.
	Head int
	// Body bounds what is read of a body, in bytes. It is less than the window of a stream, 128 KiB.
	Body int
	// Idle is how long a connection stays that nobody uses.
	Idle time.Duration
}

// Flow-control windows: what an endpoint may send that nobody has read yet. A stream's is twice what is read of a body at most, so that
// no more credit has to be given.
const (
	streamWindow = 128 << 10
	connWindow   = 1 << 20
)

const (
	// defaultWindow is what a peer gives before it says otherwise (RFC 9113, section 6.9.2).
	defaultWindow = 64<<10 - 1
	maxWindow     = 1<<31 - 1
	// maxFrame is the largest frame, of either side: what every peer takes (RFC 9113, section 4.2).
	maxFrame = 16 << 10
	// assumedStreams is how many requests may be under way where the peer does not say it: net/http's, too.
	assumedStreams = 100
	// lastStream is the highest id that is used. There are twice as many; a connection that came so far may be replaced.
	lastStream = 1 << 30
	// tableSize bounds the memory of header compression in bytes: what every peer takes for granted.
	tableSize = 4 << 10
	// readBuffer is for what came together, in bytes: some eighty answers.
	readBuffer = 4 << 10
)

// Conn is a connection to an endpoint. It is safe for concurrent use. A goroutine reads from it until its end.
type Conn struct {
	conn   io.ReadWriter
	hangUp func()
	opts   Options
	free   sync.Pool // of *stream
	ready  chan struct{}
	framer *http2.Framer // reads on the reader's goroutine, writes to queue under mu

	mu      sync.Mutex
	streams map[uint32]*stream // under way
	next    uint32             // the id of the next one
	leaving bool               // no more begin
	ended   error              // why the connection has
	// Of what is sent; see write.go.
	queue   queue
	spare   []byte
	writing bool
	part    uint64 // of what was written
	replies int    // bytes of the queue that only answer the peer
	block   []byte // the last head
	resized bool   // the next head says so, see [Conn.takeSettings]
	cut     error  // nothing can be written any more
	// What the peer allows.
	window  int64 // of the connection
	initial int64 // of a new stream
	most    int   // streams
	waiting []uint32
	// What it was allowed.
	credit int64 // and has not used
	stray  int   // frames that brought no answer further
	told   int   // frames of settings
	// See watch.go.
	timer              *time.Timer
	looks              time.Time // when the timer does
	read, began, idled time.Time
	pinged             time.Time
}

// stream is a request under way.
type stream struct {
	id       uint32
	part     uint64 // of what is written, in which it begins
	began    time.Time
	deadline time.Time
	rest     []byte // of the body, not yet in the queue
	window   int64
	waits    bool // for a window

	res    *Response
	head   int   // bytes of heads so far
	frames int   // that came for it
	length int64 // that the body is said to have; -1 if it is not said
	got    int64 // of the body
	err    error
	done   chan struct{}
}

// New greets an endpoint that has chosen "h2" in its TLS handshake. conn has no deadline. At its end, of which
// the connection decides itself, hangUp is called once, on a goroutine of its own: whoever reads or writes then has to return.
func New(conn io.ReadWriter, hangUp func(), opts Options) *Conn {
	c := &Conn{
		conn: conn, hangUp: hangUp, opts: opts, ready: make(chan struct{}), streams: map[uint32]*stream{}, next: 1,
		window: defaultWindow, initial: defaultWindow, most: assumedStreams, credit: connWindow,
	}
	c.free.New = func() any { return &stream{done: make(chan struct{}, 1)} }
	c.framer = http2.NewFramer(&c.queue, bufio.NewReaderSize(conn, readBuffer))
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(maxFrame)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(tableSize, nil)
	c.framer.MaxHeaderListSize = uint32(opts.Head) //nolint:gosec // 64 KiB
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.read, c.began, c.idled = now, now, now
	c.looks = now.Add(opts.Idle)
	c.timer = time.AfterFunc(opts.Idle, c.look)
	c.greet()
	go c.readAll()
	return c
}

func (c *Conn) greet() {
	c.queue.text = append(c.queue.text, http2.ClientPreface...)
	_ = c.framer.WriteSettings( // to memory, as everything that is written
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: c.framer.MaxHeaderListSize},
	)
	_ = c.framer.WriteWindowUpdate(0, connWindow-defaultWindow)
	c.write()
}

// Ready is closed when the endpoint has said what it takes, or the connection has ended. Before, some requests may be refused.
func (c *Conn) Ready() <-chan struct{} { return c.ready }

// Do sends the request and waits for the response, whose memory is res. Its error is one of the above, the end of ctx,
// os.ErrDeadlineExceeded, an http2.StreamError or what ended the connection.
func (c *Conn) Do(ctx context.Context, r *Request, res *Response) error {
	s := c.free.Get().(*stream) //nolint:forcetypeassert // the pool holds nothing else
	*s = stream{done: s.done, res: res, deadline: r.Deadline, rest: r.Body, length: -1}
	defer func() {
		*s = stream{done: s.done}
		c.free.Put(s)
	}()
	if !c.begin(s, r) {
		return ErrNoRoom
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		c.giveUp(s, context.Cause(ctx))
		<-s.done
	}
	return s.err
}

// begin puts the request into the queue, and reports whether there was room.
func (c *Conn) begin(s *stream, r *Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.room() {
		return false
	}
	s.id, s.part, s.window = c.next, c.part, c.initial
	c.next += 2
	c.leaving = c.next > lastStream
	s.began = time.Now()
	if len(c.streams) == 0 {
		c.began = s.began
	}
	c.streams[s.id] = s
	c.writeHead(s, r)
	c.pump(s)
	c.watch(s)
	c.write()
	return true
}

// giveUp ends a request that is still under way.
func (c *Conn) giveUp(s *stream, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[s.id] == s {
		c.reset(s, http2.ErrCodeCancel, err)
	}
}

// reset ends a request and tells the endpoint.
func (c *Conn) reset(s *stream, code http2.ErrCode, err error) {
	_ = c.framer.WriteRSTStream(s.id, code)
	c.replies += resetSize
	c.write()
	c.end(s, err)
}

// end ends a request: nothing here refers to it afterwards.
func (c *Conn) end(s *stream, err error) {
	delete(c.streams, s.id)
	s.err, s.rest = err, nil
	s.done <- struct{}{}
	if len(c.streams) > 0 {
		return
	}
	c.idled = time.Now()
	if c.leaving {
		c.fail(errNobody)
	}
}

// errNobody is the end of a connection that nobody needs.
var errNobody = errors.New("the connection is not used any more")

// fail ends the connection, and with it every request.
func (c *Conn) fail(err error) {
	if c.ended != nil {
		return
	}
	c.leaving, c.ended = true, err
	c.endUnwritten()
	for _, s := range c.streams {
		c.end(s, err)
	}
	c.timer.Stop()
	c.setReady()
	c.queue.text, c.spare, c.block, c.waiting = nil, nil, nil, nil // whoever holds the connection holds little
	go c.hangUp()                                                  // TLS says farewell first
}

func (c *Conn) setReady() {
	select {
	case <-c.ready:
	default:
		close(c.ready)
	}
}

// endUnwritten ends the requests that are in what was not written.
func (c *Conn) endUnwritten() {
	for _, s := range c.streams {
		if s.part == c.part {
			c.end(s, ErrUnprocessed)
		}
	}
}

// Err is why the connection has ended; nil as long as something is under way, or may be.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Ended reports whether the connection takes no further request. What is under way may go on.
func (c *Conn) Ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leaving
}

// Room reports whether a request may begin, if no other does meanwhile.
func (c *Conn) Room() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.room()
}

func (c *Conn) room() bool {
	return !c.leaving && len(c.streams) < c.most && len(c.queue.text) < 2*maxQueue
}

// Refused reports whether the endpoint broke the rules of HTTP/2, or said that this side did: it is better spoken to in HTTP/1.1.
func (c *Conn) Refused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.As(c.ended, new(http2.ConnectionError)) || errors.As(c.ended, new(GoAwayError))
}

// Leave ends the connection when what is under way has ended: at once, if there is nothing.
func (c *Conn) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	if len(c.streams) == 0 {
		c.fail(errNobody)
	}
}
