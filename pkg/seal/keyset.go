package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// maxText bounds the text of a keyset: a key is about 200 bytes in it.
const maxText = 64 << 10

// keyType is the only type of key there is.
const keyType = "type.googleapis.com/google.crypto.tink.AesGcmKey"

// Parse reads a keyset in Tink's JSON form, as [Keyset.JSON] writes it. The error does not repeat what it read.
func Parse(text string) (*Keyset, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("keyset of %d bytes: want at most %d", len(text), maxText)
	}
	if err := checkKeys(text); err != nil {
		return nil, err
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(strings.NewReader(text)))
	if err != nil {
		return nil, errors.New("want a keyset in Tink's JSON form") // the library's error may hold keys
	}
	return newKeyset(handle)
}

// checkKeys wants keys of the one type, with a prefix that names the key: without it a value does not say what opens it.
func checkKeys(text string) error {
	var form struct {
		Key []struct {
			KeyData struct {
				TypeURL string `json:"typeUrl"`
			} `json:"keyData"`
			OutputPrefixType string `json:"outputPrefixType"`
			Status           string `json:"status"`
		} `json:"key"`
	}
	if err := json.Unmarshal([]byte(text), &form); err != nil || len(form.Key) == 0 {
		return errors.New("want a keyset in Tink's JSON form, as 'postrider keys generate' makes it")
	}
	for i, key := range form.Key {
		if key.KeyData.TypeURL != keyType || key.OutputPrefixType != "TINK" || key.Status != "ENABLED" {
			return fmt.Errorf("key %d of the keyset: want an enabled AES256-GCM key with prefix TINK", i+1)
		}
	}
	return nil
}

// JSON returns the keyset with its keys in clear, in Tink's JSON form. Whoever has it can open everything.
func (k *Keyset) JSON() (string, error) {
	var raw, out bytes.Buffer
	if err := insecurecleartextkeyset.Write(k.handle, keyset.NewJSONWriter(&raw)); err != nil {
		return "", errors.New("writing keyset")
	}
	// Compact: it may stand in an environment variable, and the library's spacing is random on purpose.
	if err := json.Compact(&out, raw.Bytes()); err != nil {
		return "", errors.New("writing keyset")
	}
	return out.String(), nil
}

// Add returns k with one more key, which opens but does not seal yet.
func (k *Keyset) Add() (*Keyset, error) {
	return k.change(func(m *keyset.Manager) error {
		_, err := m.Add(aead.AES256GCMKeyTemplate())
		return err
	})
}

// Promote returns k with the newest key as the primary.
func (k *Keyset) Promote() (*Keyset, error) {
	keys := k.Keys()
	newest := keys[len(keys)-1]
	if newest.Primary {
		return nil, fmt.Errorf("key %d is the newest and the primary already: add one first", newest.ID)
	}
	return k.change(func(m *keyset.Manager) error { return m.SetPrimary(newest.ID) })
}

// Remove returns k without the key. What it sealed does not open any more; the primary cannot be removed.
func (k *Keyset) Remove(id uint32) (*Keyset, error) {
	if id == k.primary {
		return nil, fmt.Errorf("key %d is the primary: promote another first", id)
	}
	return k.change(func(m *keyset.Manager) error {
		if err := m.Delete(id); err != nil {
			return fmt.Errorf("key %d: there is none", id)
		}
		return nil
	})
}

func (k *Keyset) change(fn func(*keyset.Manager) error) (*Keyset, error) {
	m := keyset.NewManagerFromHandle(k.handle)
	if err := fn(m); err != nil {
		return nil, err
	}
	handle, err := m.Handle()
	if err != nil {
		return nil, fmt.Errorf("changing keyset: %w", err)
	}
	return newKeyset(handle)
}
