package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/encrypt"
	"github.com/postrider/postrider/pkg/subscription"
)

// EncryptionIn says how the data of events is to be encrypted.
type EncryptionIn struct {
	Scheme string  `json:"scheme" enum:"jwe,voyado" doc:"jwe: JSON Web Encryption, compact, dir and A256GCM. voyado: AES-256-CBC as Voyado Engage has it, which is not authenticated."`
	Key    *string `json:"key,omitempty" nullable:"true" maxLength:"256" doc:"32 bytes in base64url without padding (jwe), or 32 letters and digits (voyado). Made if left out, each time anew."`
}

// EncryptionOut says how the data of events is encrypted.
type EncryptionOut struct {
	Scheme *string `json:"scheme" nullable:"true" doc:"Null: it is not encrypted."`
	Key    *string `json:"key,omitempty" doc:"Only in the answer to the PUT that had it made."`
}

func (a *API) endpointEncryptions() {
	const resource = "/encryption"
	register(a, below(http.MethodGet, resource, "postrider.endpoint.get-encryption", "Say how an endpoint's data is encrypted",
		access.ViewTenant, "The key is never shown."),
		func(ctx context.Context, in *EndpointPath) (*answer[EncryptionOut], error) {
			return shown(ctx, in.Endpoint, func(e *edit) (EncryptionOut, error) { return encryptionOut(e), nil })
		})
	registerBody(a, below(http.MethodPut, resource, "postrider.endpoint.set-encryption", "Encrypt an endpoint's data",
		access.ManageSecrets, "The event's data, as the transformation made it, is encrypted before it is put into its envelope and signed. "+
			"Without a key one is made, and shown in this answer alone. A new key is used from the next attempt on: have the receiver know both meanwhile. "+
			"Data that its producer encrypted (content type application/jose, or text/plain; encryption=voyado) goes out as it came."), a.putEncryption)
	register(a, below(http.MethodDelete, resource, "postrider.endpoint.delete-encryption", "Encrypt an endpoint's data no more",
		access.ManageSecrets, "").quietly(), func(ctx context.Context, in *EndpointWrite) (*answer[nothing], error) {
		return a.set(ctx, in.Endpoint, in.WriteInput, nil, func(s *subscription.Subscription) { s.Encryption = nil })
	})
}

func encryptionOut(e *edit) EncryptionOut {
	if e.sub.Encryption == nil {
		return EncryptionOut{}
	}
	return EncryptionOut{Scheme: &e.sub.Encryption.Scheme}
}

func (a *API) putEncryption(ctx context.Context, in *EndpointWriteBody, body *EncryptionIn) (*answer[EncryptionOut], error) {
	next := subscription.Encryption{Scheme: body.Scheme, Key: value(body.Key)}
	if body.Key == nil {
		var err error
		if next.Key, err = encrypt.GenerateKey(body.Scheme); err != nil {
			return nil, fmt.Errorf("making a key: %w", err)
		}
	}
	e, applied, err := a.change(ctx, in.Endpoint, in.WriteInput, map[string]string{"encryption": ""}, func(e *edit) error {
		e.sub.Encryption = &next
		return nil
	})
	return resource(e, applied, err, func(e *edit) EncryptionOut {
		out := encryptionOut(e)
		if body.Key == nil {
			out.Key = &next.Key
		}
		return out
	})
}
