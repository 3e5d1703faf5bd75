package encrypt

import (
	"mime"
	"strings"
)

// Content types of texts. The first is registered for JWE's compact serialization (RFC 7515, 9.2.1). Of Voyado's there is
// none: to who knows no better it is a plain text, and the parameter says to the others what it is.
const (
	typeJWE    = "application/jose"
	typeVoyado = "text/plain; encryption=voyado"
)

// ContentType implements [Scheme]: application/jose.
func (JWE) ContentType() string { return typeJWE }

// ContentType implements [Scheme]: text/plain with the parameter encryption=voyado.
func (Voyado) ContentType() string { return typeVoyado }

// Encrypted reports whether a content type is that of texts of one of the schemes. Data that comes with one was encrypted by
// whoever produced it, under a key that is nobody's business here: it is to pass as it is.
func Encrypted(contentType string) bool {
	switch contentType {
	case typeJWE, typeVoyado:
		return true
	case "", "application/json":
		return false
	}
	media, parameters, err := mime.ParseMediaType(contentType)
	return err == nil && (media == typeJWE || media == "text/plain" && strings.EqualFold(parameters["encryption"], "voyado"))
}
