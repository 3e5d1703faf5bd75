package egress

import "sync"

// question is a request, as the system is to get it, that waits for the read of its answer. In one visit to the network poller
// that read looks at the connection, writes, waits, and reads: by themselves a look, a write and a read ask the
// system for the answer once more than there is one, and what comes between two of them would be noticed late.
type question struct {
	text  []byte
	taken int // bytes, by the system
}

// questions are used again: a connection that is idle holds none.
var questions = sync.Pool{New: func() any { return new(question) }} //nolint:gochecknoglobals // memory of no one

func (q *question) left() []byte { return q.text[q.taken:] }

// hold adds to the question.
func (s *socket) hold(p []byte) {
	if s.question == nil {
		s.question = questions.Get().(*question) //nolint:forcetypeassert // the pool holds nothing else
	}
	s.question.text = append(s.question.text, p...)
}

// took notes that the system took some of the question, and reports whether that was the rest.
func (s *socket) took(n int) bool {
	q := s.question
	q.taken += n
	s.written += int64(n)
	if q.taken < len(q.text) {
		return false
	}
	s.asked()
	return true
}

// asked is when no more of the question will be written.
func (s *socket) asked() {
	q := s.question
	s.question, q.text, q.taken = nil, q.text[:0], 0
	questions.Put(q)
}

// answer writes the question and reads what comes then. What came before is returned, and nothing is written.
func (s *socket) answer(p []byte) (int, error) {
	n, err := s.call(s.ask, p)
	switch early := s.early(err); {
	case early && s.question != nil: // before it looked
		return s.answer(p)
	case !early && (n > 0 || err != nil):
		return n, err
	}
	if s.question != nil {
		if err := s.askOn(); err != nil {
			return 0, err
		}
	}
	return s.Read(p)
}

// askOn waits until the system takes the rest of the question. If it took some and then no more, that is for the answer to say
// why, if there is one.
func (s *socket) askOn() error {
	if err := s.exactly(); err != nil {
		return err
	}
	n, err := s.Conn.Write(s.question.left())
	if s.took(n) {
		return nil
	}
	if s.question.taken == 0 {
		return err
	}
	s.cutOff = true
	s.asked()
	return nil
}
