package main

import (
	"context"
	"errors"
)

func sigterm(context.Context, *installation) error { return errors.New("to do") }
