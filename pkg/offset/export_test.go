package offset

// Room is how many entries t has memory for.
func (t *Tracker) Room() int { return cap(t.entries) }

// Skipped is how many offsets of an earlier owner t still remembers.
func (t *Tracker) Skipped() int64 { return t.skip.Len() }

// Runs is how many runs s takes in memory.
func (s Set) Runs() int { return len(s.runs) }
