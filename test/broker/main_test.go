package broker

import (
	"os"
	"testing"

	"github.com/postrider/postrider/test/kafkatest"
	"github.com/postrider/postrider/test/redistest"
)

func TestMain(m *testing.M) { os.Exit(kafkatest.Main(withRedis{m})) }

// withRedis runs the tests and then ends the Redis that they shared.
type withRedis struct{ m *testing.M }

// Run runs the tests.
func (w withRedis) Run() int { return redistest.Main(w.m) }
