package main

import (
	"context"
	"errors"
)

func idle(context.Context, *installation) error { return errors.New("to do") }
