package palette_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

const secretValue = "value-ZYXWVUTSRQ-0123456789"

// secretHolder holds a Secret in all ways in which a struct can.
type secretHolder struct {
	Exported   palette.Secret
	unexported palette.Secret
	pointer    *palette.Secret
	slice      []palette.Secret
	value      map[string]palette.Secret
	key        map[palette.Secret]int
	any        any
	next       *secretHolder
}

// newSecretHolder returns a struct with a Secret in every field.
func newSecretHolder(value string) secretHolder {
	s := palette.NewSecret(value)
	return secretHolder{
		Exported: s, unexported: s, pointer: &s, slice: []palette.Secret{s}, value: map[string]palette.Secret{"k": s},
		key: map[palette.Secret]int{s: 1}, any: s, next: &secretHolder{unexported: s},
	}
}

func TestSecretReturnsItsValueFromReveal(t *testing.T) {
	t.Parallel()
	for _, value := range append(validKeys, "", "white space\n", "\xff\x00", strings.Repeat("long", 1<<18)) {
		s := palette.NewSecret(value)

		assert.Equal(t, value, s.Reveal())
		assert.Equal(t, value == "", s.IsZero())
		assert.Equal(t, value == "", s == palette.Secret{})
	}
}

func TestSecretsAreComparedByValue(t *testing.T) {
	t.Parallel()
	a, same, other := palette.NewSecret("value-1"), palette.NewSecret("value-1"), palette.NewSecret("value-2")

	assert.True(t, a == same)   //nolint:testifylint // the operator
	assert.False(t, a == other) //nolint:testifylint // the operator
	assert.Equal(t, 7, map[palette.Secret]int{a: 7}[same])
	assert.Equal(t, a, same)
}

func TestSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	secret, holder := palette.NewSecret(secretValue), newSecretHolder(secretValue)
	for verb := ' '; verb <= '~'; verb++ {
		for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "20", ".3", "[1]"} {
			format := "%" + flags + string(verb)
			for _, v := range []any{secret, &secret, holder, &holder} {
				text := fmt.Sprintf(format, v)

				assert.NotContains(t, text, secretValue, format)
				assert.NotContains(t, strings.ToLower(text), fmt.Sprintf("%x", secretValue), format)
			}
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%20s"} {
		assert.Equal(t, "[REDACTED]", fmt.Sprintf(verb, secret), verb)
	}
	assert.Equal(t, "[REDACTED]", secret.String())
	assert.Contains(t, printed(secret), " value=[REDACTED]\n") // slog's text
	assert.Contains(t, printed(secret), `,"value":"[REDACTED]"}`)
	assert.NotContains(t, printed(holder), secretValue)
}

func TestErrSecretNotEncodedIfASecretIsMarshaled(t *testing.T) {
	t.Parallel()
	s := palette.NewSecret(secretValue)
	type field struct{ Secret palette.Secret }
	type embedded struct{ palette.Secret }
	type attribute struct {
		Secret palette.Secret `xml:"secret,attr"`
	}
	for name, v := range map[string]any{
		"secret": s, "zero": palette.Secret{}, "pointer": &s, "slice": []palette.Secret{s}, "field": field{s},
		"embedded": embedded{s}, "attribute": attribute{s}, "response": palette.CreateAPIKeyResponse{APIKey: s, UID: testUID},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var encoded bytes.Buffer

			jsonErr := json.NewEncoder(&encoded).Encode(v)
			xmlErr := xml.NewEncoder(&encoded).Encode(v)
			gobErr := gob.NewEncoder(&encoded).Encode(v)

			require.ErrorIs(t, jsonErr, palette.ErrSecretNotEncoded)
			require.ErrorIs(t, xmlErr, palette.ErrSecretNotEncoded)
			require.Error(t, gobErr)
			assert.NotContains(t, encoded.String()+gobErr.Error(), secretValue)
			assert.NotContains(t, encoded.String(), "REDACTED")
		})
	}
	t.Run("map", func(t *testing.T) {
		t.Parallel()

		_, valueErr := json.Marshal(map[string]palette.Secret{"k": s})
		_, keyErr := json.Marshal(map[palette.Secret]int{s: 1})

		require.ErrorIs(t, valueErr, palette.ErrSecretNotEncoded)
		require.ErrorContains(t, keyErr, "palette: a Secret cannot be marshaled: use Reveal if you want its value")
	})
}

// failures is a test that records its failures.
type failures struct{ text string }

func (f *failures) Errorf(format string, args ...any) { f.text += fmt.Sprintf(format, args...) }

func TestSecretIsNotFoundByReflection(t *testing.T) {
	t.Parallel()
	var f failures

	assert.Equal(&f, newSecretHolder(secretValue), newSecretHolder(secretValue+"-2"))

	assert.Contains(t, f.text, "Diff:")
	assert.NotContains(t, f.text, secretValue)
	requireUnreachable(t, secretValue, newSecretHolder(secretValue))
}
