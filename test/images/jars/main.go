// Jars prints the directory with the jars of the Kafka that the tests run,
// fetching them if they are not there yet.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/postrider/postrider/test/kafkatest"
)

func main() {
	dir, err := kafkatest.Jars(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(dir)
}
