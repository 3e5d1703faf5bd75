// Package clients tests Postrider with the official Svix clients as their registries have them: nothing is changed but the
// server's address. Programs in javascript/ and python/ go through what a customer does, each with a receiver that verifies
// with the client's own verifier and reports every request as a line of JSON on standard output; the test verifies the same
// requests with the Go verifier. The Go client is used in the test itself; it is an older one, with older names of fields.
//
// The libraries that verify are asked besides, in JavaScript and Python, about requests of which any byte was changed; see
// libraries_test.go.
//
// Payloads that pkg/encrypt encrypted are decrypted by javascript/decrypt.mjs, with what Node.js has and with a JOSE library.
//
// The clients are installed once, with npm and pip, into the user's cache directory; see install.go. Node.js and Python are
// installed if they are missing, the user is root and the system has apt-get; otherwise the test fails and says what it needs.
// Kafka and Redis are those of test/kafkatest and test/redistest.
package clients
