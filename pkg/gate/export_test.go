package gate

// Probe reports whether p is leave to make the probe that is under way.
func (p *Permit) Probe() bool {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return p.b.era == p.era && p.b.state.Open()
}
