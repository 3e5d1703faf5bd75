package gate

// Probe reports whether p is leave to make the probe that is under way.
func (p *Permit) Probe() bool {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return p.b.two == p.two && p.b.state.Open()
}
