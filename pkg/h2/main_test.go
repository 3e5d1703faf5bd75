package h2

import (
	"testing"

	"github.com/postrider/postrider/test/suite"
)

func TestMain(m *testing.M) { suite.Main(m) }
