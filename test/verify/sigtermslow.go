package main

import (
	"context"
	"errors"
)

func sigtermSlow(context.Context, *installation) error { return errors.New("to do") }
