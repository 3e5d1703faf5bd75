// Package portal is where customers set up, test and repair their endpoints in a browser, and where operators see the whole.
// Pages are rendered here, from templates and data of the management API, and work without a script; htmx and a small script
// of our own make some of them quicker. See DESIGN.md.
//
// # A request
//
//	log → headers → cross-origin check → session → form token → page ──in process──▶ the API's handler
//
// A page has no other way to data than the API, with the bearer token of the session: it can do nothing that the token could
// not do without it, and every change is validated, limited and audited there.
//
// # Sessions
//
// A session begins with a portal token, which is good for one tenant, or an API key. It is a cookie that holds the token
// sealed, so that it ends when the token does, whichever process answers, and cannot be read by a script.
package portal
