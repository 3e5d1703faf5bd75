// Package browser tests the portal as people use it: in a headless Chromium, on a whole Postrider that delivers what the demo
// sends. It looks for what only a browser can tell: that pages work under their policy, with a keyboard, on a phone, and for
// who does not see them.
package browser
