package alerts

import (
	"os"
	"testing"

	"github.com/postrider/postrider/test/redistest"
	"github.com/postrider/postrider/test/suite"
)

func TestMain(m *testing.M) {
	suite.Shuffle()
	os.Exit(redistest.Main(m))
}
