package encrypt_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/encrypt"
)

func TestEncrypted(t *testing.T) {
	for _, name := range encrypt.Names() {
		scheme, _ := encrypt.Lookup(name)
		require.True(t, encrypt.Encrypted(scheme.ContentType()), name)
	}
	for contentType, want := range map[string]bool{
		"": false, "application/json": false, "text/plain": false, "text/plain; charset=utf-8": false, "application/jose+json": false,
		"text/plain; encryption=rot13": false, "application/x-jose": false, "encryption=voyado": false, ";": false,
		"Application/JOSE": true, "application/jose; charset=utf-8": true, `text/plain;charset=utf-8;Encryption="Voyado"`: true,
	} {
		require.Equal(t, want, encrypt.Encrypted(contentType), "%q", contentType)
	}
}
