package broker

import (
	"os"
	"testing"

	"github.com/postrider/postrider/test/kafkatest"
)

func TestMain(m *testing.M) { os.Exit(kafkatest.Main(m)) }
