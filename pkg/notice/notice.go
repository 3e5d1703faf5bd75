// Package notice decides of what a tenant is told, and when, and writes it: that endpoints were disabled or fail, and that they
// are well again. It does no I/O and is told the time.
//
// # From facts to a digest
//
// [Judge] makes findings of what is known of an endpoint, [Tenant.Fold] keeps the problems that are open, and [Tenant.Digest]
// says what a recipient has not been told yet: the difference between what is open and what it was told last. So there is
// no queue: what came and went between two notices is not told, an outage of a mail server ends with one mail, and after a
// crash the difference is found again. What a [Recipient] was told is all that is kept.
//
// # When
//
// The first notice waits [Timing.Gather] for what else is going wrong, the next ones until [Timing.Every] has passed since the last.
// One that was not taken is tried again after a minute, which doubles up to an hour, with what is true by then.
package notice

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// Kind is what is wrong.
type Kind string

// Kinds, the worst first: an endpoint that has one of them is not looked at for those below it.
const (
	// Disabled: Postrider disabled the endpoint.
	Disabled Kind = "disabled"
	// Failing: nothing has succeeded for a while.
	Failing Kind = "failing"
	// SuccessRate: it succeeds less often than the tenant wants.
	SuccessRate Kind = "success-rate"
	// EventType: one event type fails while others do not.
	EventType Kind = "event-type"
)

// kinds are all of them, in their order.
func kinds() []Kind { return []Kind{Disabled, Failing, SuccessRate, EventType} }

// Problem is something that is wrong with an endpoint.
type Problem struct {
	Kind         Kind
	Subscription ident.ID
	// EventType is of kind [EventType] alone.
	EventType string
}

// MarshalText makes problems keys of JSON objects.
func (p Problem) MarshalText() ([]byte, error) {
	return []byte(string(p.Kind) + "/" + p.Subscription.UUID() + "/" + p.EventType), nil
}

// UnmarshalText reads what MarshalText writes.
func (p *Problem) UnmarshalText(text []byte) error {
	parts := strings.SplitN(string(text), "/", 3)
	if len(parts) != 3 {
		return fmt.Errorf("problem %q: want kind/subscription/type", text)
	}
	id, err := ident.ParseUUID(parts[1])
	if err != nil {
		return fmt.Errorf("problem %q: %w", text, err)
	}
	*p = Problem{Kind(parts[0]), id, parts[2]}
	return nil
}

// compare orders problems: the worst first, then by endpoint and event type.
func (p Problem) compare(other Problem) int {
	return cmp.Or(
		cmp.Compare(slices.Index(kinds(), p.Kind), slices.Index(kinds(), other.Kind)),
		slices.Compare(p.Subscription[:], other.Subscription[:]), cmp.Compare(p.EventType, other.EventType),
	)
}

// Medium is how a recipient is reached.
type Medium string

// Media.
const (
	Email = Medium("email")
	Slack = Medium(subscription.ChatSlack)
	Teams = Medium(subscription.ChatTeams)
)

// Recipient is one address or one chat.
type Recipient struct {
	Medium Medium
	// Address is an e-mail address, or a URL, which is a secret.
	Address string
}

// Recipients are those of a tenant. A chat whose URL is not decrypted is not among them.
func Recipients(n *subscription.Notices) []Recipient {
	if n == nil {
		return nil
	}
	var out []Recipient
	for _, address := range n.Emails {
		out = append(out, Recipient{Email, address})
	}
	if n.Chat != nil && !subscription.Sealed(n.Chat.URL) {
		out = append(out, Recipient{Medium(n.Chat.Kind), n.Chat.URL})
	}
	return out
}

// Key names the recipient where its address must not stand: the medium and 64 bits of the address' hash.
func (r Recipient) Key() string {
	sum := sha256.Sum256([]byte(strings.ToLower(r.Address)))
	return string(r.Medium) + ":" + hex.EncodeToString(sum[:8])
}

// String is [Recipient.Key]: an address is in no log.
func (r Recipient) String() string { return r.Key() }

// GoString is [Recipient.Key].
func (r Recipient) GoString() string { return r.Key() }
