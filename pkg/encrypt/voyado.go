package encrypt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"

	"github.com/postrider/postrider/pkg/ident"
)

const (
	voyadoLabel    = "postrider encrypt voyado iv 1\n"
	voyadoAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

var errVoyadoKey = errors.New("want 32 characters of A-Z, a-z and 0-9")

// Voyado is the encryption of Voyado Engage's webhooks: AES-256-CBC with the padding of PKCS #7, the initialization vector
// before the ciphertext, both in base64url without padding. A key is 32 letters and digits, which are its bytes.
//
// The format has no authentication: whoever changes the vector changes the same bits of the first block, and whoever
// changes a block garbles it and changes bits of the next; unless the padding breaks, decryption does not notice.
// What protects the data is the signature of the attempt, which covers the body that the text stands in: receivers verify
// first and decrypt then. Where there is a choice, [JWE] is the better one.
type Voyado struct{}

var _ Scheme = Voyado{}

// NewKey implements [Scheme]: 32 random letters and digits, 190 bits.
func (Voyado) NewKey() (string, error) {
	key := make([]byte, 0, keySize)
	var random [2 * keySize]byte
	for len(key) < keySize {
		if _, err := rand.Read(random[:]); err != nil {
			return "", err
		}
		for _, b := range random {
			// Two of 64 values stand for nothing: a remainder would favour some characters.
			if b &= 63; int(b) < len(voyadoAlphabet) && len(key) < keySize {
				key = append(key, voyadoAlphabet[b])
			}
		}
	}
	return string(key), nil
}

// ValidateKey implements [Scheme].
func (Voyado) ValidateKey(key string) error {
	if len(key) != keySize {
		return errVoyadoKey
	}
	for i := range len(key) {
		if c := key[i]; (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return errVoyadoKey
		}
	}
	return nil
}

// Cipher implements [Scheme].
func (v Voyado) Cipher(key string) (Cipher, error) {
	if err := v.ValidateKey(key); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		return nil, errVoyadoKey
	}
	return &voyadoCipher{printed: "voyado", block: block, ivs: newVectors(voyadoLabel, []byte(key))}, nil
}

type voyadoCipher struct {
	printed

	block cipher.Block
	ivs   *vectors
}

// Append implements [Cipher].
func (c *voyadoCipher) Append(dst, plaintext []byte, delivery ident.ID) []byte {
	pad := byte(aes.BlockSize) // a whole block, less what is in the last one
	for range len(plaintext) % aes.BlockSize {
		pad--
	}
	size := aes.BlockSize + len(plaintext) + int(pad)
	start := len(dst)
	dst = extend(dst, textLen(size))
	text := dst[start:]
	raw := text[len(text)-size:]
	iv, body := raw[:aes.BlockSize], raw[aes.BlockSize:]

	c.ivs.derive(iv, delivery, plaintext)
	for i := copy(body, plaintext); i < len(body); i++ {
		body[i] = pad
	}
	cipher.NewCBCEncrypter(c.block, iv).CryptBlocks(body, body)
	encodeInto(text, raw)
	return dst
}

// Decrypt implements [Cipher].
func (c *voyadoCipher) Decrypt(text []byte) ([]byte, error) {
	if len(text) > MaxText {
		return nil, ErrDecrypt
	}
	raw, ok := decode(text)
	if !ok || len(raw) < 2*aes.BlockSize || len(raw)%aes.BlockSize != 0 {
		return nil, ErrDecrypt
	}
	iv, body := raw[:aes.BlockSize], raw[aes.BlockSize:]
	cipher.NewCBCDecrypter(c.block, iv).CryptBlocks(body, body)
	last := body[len(body)-1]
	pad := int(last)
	if pad < 1 || pad > aes.BlockSize || !bytes.Equal(body[len(body)-pad:], bytes.Repeat([]byte{last}, pad)) {
		return nil, ErrDecrypt
	}
	return body[:len(body)-pad], nil
}
