package history

// commits checks that no commit went backwards.
func (c *checker) commits() {
	last := map[int32]int64{}
	for _, commit := range c.h.Commits {
		if commit.Offset < last[commit.Partition] {
			c.report.broken(BadCommit, "partition %d: from %d to %d", commit.Partition, last[commit.Partition], commit.Offset)
		}
		last[commit.Partition] = commit.Offset
	}
}

// gaps checks that the accounts of every source partition follow each other up to its end. A crash repeats the last one.
func (c *checker) gaps() {
	next := map[int32]int64{}
	for _, r := range c.h.Routed {
		if r.First > next[r.Partition] {
			c.report.broken(Gap, "source partition %d: %d to %d", r.Partition, next[r.Partition], r.First-1)
		}
		next[r.Partition] = max(next[r.Partition], r.Last+1)
	}
	for p, end := range c.h.SourceEnds {
		if next[p] != end {
			c.report.broken(Gap, "source partition %d: routed up to %d of %d", p, next[p], end)
		}
	}
}
