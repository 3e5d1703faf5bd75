package view

// SetPiece makes the strings of a day as small as a test needs them.
func SetPiece(r *Redis, rows int) { r.piece = rows }
