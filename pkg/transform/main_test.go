package transform

import (
	"testing"
	"time"

	"github.com/postrider/postrider/test/suite"
)

func TestMain(m *testing.M) { suite.Main(m) }

// patience is the time that programs have in tests: what is tested is not the clock, on a machine that may be busy.
const patience = time.Hour
