package envelope_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/postrider/postrider/pkg/encrypt"
	"github.com/postrider/postrider/pkg/envelope"
)

// An encrypted text is a string where the data would be, and nothing but itself where the data is the body.
func TestEncryptedData(t *testing.T) {
	const text = "eyJhbGciOiJkaXIifQ..AAAA.B-_9.CC"
	for name, path := range map[string]string{
		"standard": "data", "dixa": "data", "flexengage": "data", "voyado": "payload", "cloudevents": "data", "raw": "", "cloudevents-binary": "",
	} {
		for _, contentType := range []string{"application/jose", "text/plain; encryption=voyado"} {
			d := sample(text)
			d.ContentType = contentType
			got, err := render(t, name, d, dixaTenant)
			require.NoError(t, err, name)
			e, _ := envelope.Lookup(name)
			if path == "" {
				require.Equal(t, text, string(got), name)
				require.Equal(t, contentType, e.ContentType(d), name)
				continue
			}
			require.True(t, gjson.ValidBytes(got), "%s: %s", name, got)
			require.Equal(t, `"`+text+`"`, gjson.GetBytes(got, path).Raw, name)
			require.Contains(t, e.ContentType(d), "json", name)
			switch name {
			case "voyado":
				require.True(t, gjson.GetBytes(got, "isEncrypted").Bool())
			case "cloudevents":
				require.Equal(t, contentType, gjson.GetBytes(got, "datacontenttype").String())
				require.False(t, gjson.GetBytes(got, "data_base64").Exists())
			}
		}
	}
	require.Len(t, envelope.Names(), 7, "a row for each")
}

// What is said to be encrypted and is no text of a scheme is not put into a string, where its bytes would change.
func TestEncryptedDataThatIsNoText(t *testing.T) {
	for _, data := range []string{`{"a":1}`, "a b", `a\b`, "æ", "\x00", "a\n", "\xff"} {
		d := sample(data)
		d.ContentType = "application/jose"
		require.True(t, encrypt.Encrypted(d.ContentType))
		for _, name := range []string{"standard", "dixa", "flexengage", "voyado"} {
			_, err := render(t, name, d, dixaTenant)
			require.ErrorIs(t, err, envelope.ErrNotJSON, "%s %q", name, data)
			require.NotContains(t, err.Error(), data)
		}
		for _, name := range []string{"raw", "cloudevents-binary"} {
			got, err := render(t, name, d, dixaTenant)
			require.NoError(t, err)
			require.Equal(t, data, string(got), "untouched")
		}
		got, err := render(t, "cloudevents", d, dixaTenant)
		require.NoError(t, err)
		require.True(t, gjson.GetBytes(got, "data_base64").Exists(), "as all data that is no text")
	}
}
