package encrypt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"

	"github.com/postrider/postrider/pkg/ident"
)

const (
	jweLabel = "postrider encrypt jwe nonce 1\n"
	// jweHeader is {"alg":"dir","enc":"A256GCM"} in base64url; authenticated as it stands here (RFC 7516, 5.1, step 14).
	jweHeader = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0"
	jwePrefix = jweHeader + ".." // the key is agreed on, so the second part, the encrypted key, is empty (RFC 7518, 4.5)
)

// Sizes of A256GCM (RFC 7518, 5.3), in bytes, and of their texts.
const (
	nonceSize = 12
	nonceText = 16
	tagSize   = 16
	tagText   = 22
)

var errJWEKey = errors.New("want 43 characters: 32 bytes in base64url without padding")

// JWE is the compact serialization of JSON Web Encryption (RFC 7516) with alg dir and enc A256GCM, authenticated
// encryption that JOSE libraries of all languages read. A key is 32 bytes in base64url without padding: the member k of
// the same key as a JWK (RFC 7518, 6.4.1).
//
// The texts are put together here, on the standard library's GCM: a JOSE library takes its nonces from a source of random
// bytes that cannot be chosen per call, so that every try of a delivery would have a body of its own. The library is in
// the tests, where it reads what is written here.
//
// Decryption reads what this scheme writes: the header above, byte for byte.
type JWE struct{}

var _ Scheme = JWE{}

// NewKey implements [Scheme]: 32 random bytes.
func (JWE) NewKey() (string, error) {
	var key [keySize]byte
	if _, err := rand.Read(key[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(key[:]), nil
}

// ValidateKey implements [Scheme].
func (JWE) ValidateKey(key string) error {
	_, err := decodeJWEKey(key)
	return err
}

func decodeJWEKey(key string) ([]byte, error) {
	if len(key) != textLen(keySize) {
		return nil, errJWEKey
	}
	raw, ok := decode([]byte(key))
	if !ok {
		return nil, errJWEKey
	}
	return raw, nil
}

// Cipher implements [Scheme].
func (JWE) Cipher(key string) (Cipher, error) {
	raw, err := decodeJWEKey(key)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, errJWEKey
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, errJWEKey
	}
	return &jweCipher{printed: "jwe", aead: aead, nonces: newVectors(jweLabel, raw)}, nil
}

type jweCipher struct {
	printed

	aead   cipher.AEAD
	nonces *vectors
}

// Append implements [Cipher].
func (c *jweCipher) Append(dst, plaintext []byte, delivery ident.ID) []byte {
	start, bodyText := len(dst), textLen(len(plaintext))
	dst = extend(dst, len(jwePrefix)+nonceText+1+bodyText+1+tagText)
	text := dst[start:]
	copy(text, jwePrefix)
	text[len(jwePrefix)+nonceText] = '.'
	nonceRoom := text[len(jwePrefix) : len(jwePrefix)+nonceText]
	room := text[len(jwePrefix)+nonceText+1:] // of the ciphertext, a dot and the tag

	// The nonce and what is sealed are made at the end of their room, where their texts do not overtake them.
	nonce := nonceRoom[nonceText-nonceSize:]
	c.nonces.derive(nonce, delivery, plaintext)
	sealed := room[len(room)-len(plaintext)-tagSize:]
	c.aead.Seal(sealed[:0], nonce, plaintext, text[:len(jweHeader)])

	tag := [tagSize]byte(sealed[len(plaintext):])
	encodeInto(room, sealed[:len(plaintext)])
	room[bodyText] = '.'
	encodeInto(room[bodyText+1:], tag[:])
	encodeInto(nonceRoom, nonce)
	return dst
}

// Decrypt implements [Cipher].
func (c *jweCipher) Decrypt(text []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(text, []byte(jwePrefix))
	if !ok || len(text) > MaxText {
		return nil, ErrDecrypt
	}
	parts := bytes.SplitN(rest, []byte{'.'}, 4)
	if len(parts) != 3 || len(parts[0]) != nonceText || len(parts[2]) != tagText {
		return nil, ErrDecrypt
	}
	nonce, ok := decode(parts[0])
	body, okBody := decode(parts[1])
	tag, okTag := decode(parts[2])
	if !ok || !okBody || !okTag {
		return nil, ErrDecrypt
	}
	body = append(body, tag...)
	plain, err := c.aead.Open(body[:0], nonce, body, []byte(jweHeader))
	if err != nil {
		return nil, ErrDecrypt
	}
	return plain, nil
}
