package delivery

// PublishedSource is the CloudEvents source of events that were published over HTTP: part of their identity, so that an
// event is found again by the id it was published with.
const PublishedSource = "postrider/api"
