package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"code.dny.dev/ssrf"
)

// BlockedError is the guard's refusal of an address or a port. It comes out of a dial wrapped in a net.OpError.
type BlockedError struct {
	// Addr is what was to be dialled; its port is 0 if only the address was looked at.
	Addr netip.AddrPort
	// Reason says what is wrong with it.
	Reason string
}

// Error implements error.
func (e *BlockedError) Error() string {
	if e.Addr.Port() == 0 {
		return fmt.Sprintf("address %s is not allowed: %s", e.Addr.Addr(), e.Reason)
	}
	return fmt.Sprintf("address %s is not allowed: %s", e.Addr, e.Reason)
}

// deniedAddrs are public by IANA's registries and internal by what answers there.
var deniedAddrs = []netip.Prefix{ //nolint:gochecknoglobals // a table
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure's platform endpoint: DHCP, DNS, metadata of the host
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba Cloud's metadata, in 100.64.0.0/10 today
}

// Guard decides which addresses, ports and URLs may be reached. It is safe for concurrent use.
type Guard struct {
	allowHTTP, allowInternalNames, anyPort bool
	ports                                  []uint16 // sorted
	allow, deny                            []netip.Prefix
	public                                 *ssrf.Guardian
}

// NewGuard returns the guard of c.
func NewGuard(c Config) (*Guard, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	g := &Guard{
		allowHTTP: c.AllowHTTP, allowInternalNames: c.AllowInternalNames, anyPort: c.AnyPort,
		ports:  append([]uint16{443}, c.Ports...),
		allow:  slices.Clone(c.AllowNetworks),
		deny:   slices.Concat(deniedAddrs, c.DenyNetworks),
		public: ssrf.New(ssrf.WithAnyPort()),
	}
	if c.AllowHTTP {
		g.ports = append(g.ports, 80)
	}
	slices.Sort(g.ports)
	g.ports = slices.Compact(g.ports)
	return g, nil
}

// CheckAddr says why addr may not be reached: nil or a [BlockedError]. IPv4 addresses written as IPv6 are judged as
// IPv6 and refused, as no resolver needs to give them.
func (g *Guard) CheckAddr(addr netip.Addr) error {
	if !addr.IsValid() {
		return &BlockedError{Reason: "it is no address"}
	}
	if addr.Zone() != "" { // a prefix never contains an address with a zone, so no rule below would see it
		return &BlockedError{Addr: netip.AddrPortFrom(addr, 0), Reason: "it names a zone"}
	}
	if contains(g.allow, addr) {
		return nil
	}
	if contains(g.deny, addr) {
		return &BlockedError{Addr: netip.AddrPortFrom(addr, 0), Reason: "its network is denied"}
	}
	if err := g.public.SafeAddr(addr); err != nil {
		return &BlockedError{Addr: netip.AddrPortFrom(addr, 0), Reason: "it is not public"}
	}
	return nil
}

// CheckPort says which ports may be reached if port is none of them.
func (g *Guard) CheckPort(port uint16) error {
	if g.anyPort && port != 0 || slices.Contains(g.ports, port) {
		return nil
	}
	return fmt.Errorf("port %d, want one of %v", port, g.ports)
}

// Control is a net.Dialer's Control: it sees the address that the socket is about to connect to, after every
// resolution, so nothing can change between the check and the connection.
func (g *Guard) Control(network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return &BlockedError{Reason: "it is no address and port"}
	}
	if network != "tcp4" && network != "tcp6" {
		return &BlockedError{Addr: to, Reason: "it is not TCP"}
	}
	if err := g.CheckPort(to.Port()); err != nil {
		return &BlockedError{Addr: to, Reason: err.Error()}
	}
	if err := g.CheckAddr(to.Addr()); err != nil {
		if blocked, ok := errors.AsType[*BlockedError](err); ok {
			blocked.Addr = to
		}
		return err
	}
	return nil
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
