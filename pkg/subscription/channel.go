package subscription

import (
	"fmt"
	"regexp"
	"slices"
)

// channelPattern is that of the Svix API.
var channelPattern = regexp.MustCompile(`^[a-zA-Z0-9\-_.:+]+$`)

// ValidateChannels says what is wrong with the channels of a subscription or an event.
func ValidateChannels(channels []string) error {
	if len(channels) > MaxChannels {
		return fmt.Errorf("%d: want at most %d", len(channels), MaxChannels)
	}
	for i, c := range channels {
		switch {
		case len(c) > MaxChannel:
			return fmt.Errorf("entry %d: %d bytes: want at most %d", i, len(c), MaxChannel)
		case !channelPattern.MatchString(c):
			return fmt.Errorf("entry %d: %q: want letters, digits and - _ . : + only", i, c)
		case slices.Contains(channels[:i], c):
			return fmt.Errorf("entry %d: %q: is there twice", i, c)
		}
	}
	return nil
}

// ShareChannel reports whether a subscription with these channels receives an event with those: it has none, or they
// share one.
func ShareChannel(subscription, event []string) bool {
	if len(subscription) == 0 {
		return true
	}
	return slices.ContainsFunc(event, func(c string) bool { return slices.Contains(subscription, c) })
}
