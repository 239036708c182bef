package palette_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

type attackExported struct {
	Name   string
	Secret palette.Secret
	Next   *attackExported
}

type attackUnexported struct {
	name   string
	secret palette.Secret
	many   []palette.Secret
	byName map[string]palette.Secret
	as     map[palette.Secret]int
	any    any
	ptr    *palette.Secret
	pair   [2]palette.Secret
	inner  struct{ deep palette.Secret }
}

type attackEmbedded struct{ palette.Secret }

type attackEmbeddedUnexported struct{ attackUnexported }

// attackHolders are values that hold a secret in every way there is.
func attackHolders(value string) map[string]any {
	s := palette.NewSecret(value)
	inner := attackUnexported{
		name: "n", secret: s, many: []palette.Secret{s}, byName: map[string]palette.Secret{"k": s},
		as: map[palette.Secret]int{s: 1}, any: s, ptr: &s, pair: [2]palette.Secret{s, s},
	}
	inner.inner.deep = s
	holders := map[string]any{
		"secret":              s,
		"exported":            attackExported{"n", s, &attackExported{"m", s, nil}},
		"unexported":          inner,
		"embedded":            attackEmbedded{s},
		"embedded unexported": attackEmbeddedUnexported{inner},
		"response":            palette.CreateAPIKeyResponse{APIKey: s, UID: attackUID},
		"slice":               []palette.Secret{s, s},
		"slice of pointers":   []*palette.Secret{&s},
		"slice of any":        []any{s, &s, inner},
		"array":               [1]palette.Secret{s},
		"map":                 map[string]palette.Secret{"k": s},
		"map of pointers":     map[string]*palette.Secret{"k": &s},
		"map by secret":       map[palette.Secret]string{s: "v"},
		"anonymous":           struct{ s palette.Secret }{s},
		"error":               fmt.Errorf("with %v, %+v, %#v, %s, %q, %x and %d", s, s, s, s, s, s, s), //nolint:err113 // a text
	}
	for name, holder := range maps.Clone(holders) {
		ptr := reflect.New(reflect.TypeOf(holder))
		ptr.Elem().Set(reflect.ValueOf(holder))
		holders["pointer to "+name] = ptr.Interface()
	}
	return holders
}

// Under no verb, with no flag and in no place does fmt or slog show a Secret.
func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	for _, value := range attackKeys {
		for name, holder := range attackHolders(value) {
			text := attackForms(holder)
			attackHides(t, text, value)
			if !strings.Contains(name, "pointer") { // of a pointer within something, fmt prints the address
				assert.Contains(t, text, "[REDACTED]", "%s does not print at all", name)
			}
		}
	}
}

func TestSecretIsNeverPrintedUnderAnyVerbOrFlag(t *testing.T) {
	t.Parallel()
	const value = "ZYXWVUTSRQ-0123456789"
	holders, hexed := attackHolders(value), fmt.Sprintf("%x", value)
	for verb := rune(' '); verb <= '~'; verb++ {
		for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "20", ".3", "[1]", "*"} {
			for _, name := range []string{"secret", "pointer to secret", "unexported", "pointer to unexported", "anonymous"} {
				text := fmt.Sprintf("%"+flags+string(verb), holders[name]) + fmt.Sprintf("%"+flags+string(verb), 7, holders[name])
				if strings.Contains(text, value) || strings.Contains(strings.ToLower(text), hexed) {
					t.Errorf("%%%s%c shows the secret in %s: %s", flags, verb, name, text)
				}
			}
		}
	}
	assert.Equal(t, "[REDACTED] [REDACTED] [REDACTED]", fmt.Sprintf("%v %s %d", palette.NewSecret(value), palette.NewSecret(value), palette.NewSecret(value)))
}

// Encoding fails; a placeholder would be kept in place of the only copy of a key.
func TestSecretIsNeverEncoded(t *testing.T) {
	t.Parallel()
	for _, value := range attackKeys {
		s := palette.NewSecret(value)
		text, err := s.MarshalText()
		require.ErrorIs(t, err, palette.ErrSecretNotEncoded)
		require.Nil(t, text)

		for name, holder := range map[string]any{
			"secret": s, "pointer": &s, "exported": attackExported{Secret: s}, "embedded": attackEmbedded{s},
			"response": palette.CreateAPIKeyResponse{APIKey: s, UID: attackUID}, "slice": []palette.Secret{s},
			"map": map[string]palette.Secret{"k": s}, "map by secret": map[palette.Secret]int{s: 1},
			"any": []any{s}, "zero": palette.Secret{},
		} {
			out, err := json.Marshal(holder)
			require.ErrorContains(t, err, palette.ErrSecretNotEncoded.Error(), "JSON of %s", name)
			require.Empty(t, out)
			if name != "map by secret" { // whose error encoding/json does not wrap
				require.ErrorIs(t, err, palette.ErrSecretNotEncoded, "JSON of %s", name)
			}
			var buf bytes.Buffer
			require.Error(t, json.NewEncoder(&buf).Encode(holder))
			require.Empty(t, buf.String())

			if !strings.HasPrefix(name, "map") {
				out, err = xml.Marshal(holder)
				require.ErrorIs(t, err, palette.ErrSecretNotEncoded, "XML of %s", name)
				require.Empty(t, out)
			}

			buf.Reset() // gob asks no marshaler of text, but refuses a type without exported fields
			err = gob.NewEncoder(&buf).Encode(holder)
			require.Error(t, err, "gob of %s", name)
			attackHides(t, buf.String()+err.Error(), value)
		}
		type attribute struct {
			Secret palette.Secret `xml:"secret,attr"`
		}
		_, err = xml.Marshal(attribute{s})
		require.ErrorIs(t, err, palette.ErrSecretNotEncoded)
	}
}

func TestSecretGivesItsValueOnlyToReveal(t *testing.T) {
	t.Parallel()
	for _, value := range attackKeys {
		s := palette.NewSecret(value)
		assert.Equal(t, value, s.Reveal())
		assert.False(t, s.IsZero())
	}
	assert.True(t, palette.NewSecret("").IsZero())
	assert.Equal(t, palette.Secret{}, palette.NewSecret(""))
	assert.Empty(t, palette.Secret{}.Reveal())
	assert.Equal(t, "[REDACTED]", fmt.Sprint(palette.Secret{}), "a zero Secret does not tell that it is one")
}

// The client holds its credential where neither fmt nor reflection gets at it.
func TestClientNeverShowsItsCredential(t *testing.T) {
	t.Parallel()
	for _, key := range attackKeys {
		for _, credential := range []palette.Option{
			palette.WithAPIKey(key), palette.WithAuthToken(key),
			palette.WithAPIKeyFunc(func(context.Context) (string, error) { return key, nil }),
		} {
			attackHides(t, attackForms(credential), key)
			client := attackSetup{key: "-", rt: attackTrip(func(*http.Request) (*http.Response, error) {
				return attackReply(204, "", ""), nil
			}), more: []palette.Option{credential}}.client(t)
			require.NoError(t, client.APIKeys.Delete(t.Context(), attackUID)) // nor once it was used
			for _, v := range []any{
				client, *client, client.APIKeys, *client.APIKeys, &client,
				[]*palette.Client{client},
				struct{ c palette.Client }{*client},
				map[string]any{"c": *client},
			} {
				attackHides(t, attackForms(v), key)
			}
			attackWalk(t, reflect.ValueOf(client), "client", map[attackVisit]bool{}, []string{key})
		}
	}
}

// attackEcho are replies in which a server repeats the key, in its own way of
// writing. Each is a body, its type, and whether it is the API's JSON.
func attackEcho(key string) map[string][2]string {
	quote := func(s string) string {
		out, err := json.Marshal(s)
		if err != nil {
			panic(err)
		}
		return string(out)
	}
	escaped := func(each func(rune) string) string {
		var b strings.Builder
		for _, r := range key {
			b.WriteString(each(r))
		}
		return b.String()
	}
	unicoded := escaped(func(r rune) string {
		if r > 0xffff { // as a pair of surrogates
			r -= 0x10000
			return fmt.Sprintf(`\u%04x\u%04X`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
		return fmt.Sprintf(`\u%04x`, r)
	})
	decimal := escaped(func(r rune) string { return fmt.Sprintf("&#%d;", r) })
	hexed := escaped(func(r rune) string { return fmt.Sprintf("&#x%X;", r) })
	percent := escaped(func(r rune) string {
		var b strings.Builder
		for _, octet := range []byte(string(r)) {
			fmt.Fprintf(&b, "%%%02x", octet)
		}
		return b.String()
	})
	sloppy := strings.NewReplacer("/", `\/`, "+", `\u002b`, "=", `\u003D`, "&", `\u0026`, "<", `\u003c`, ">", `\u003e`, `"`, `\u0022`, `\`, `\u005c`).Replace(key)
	js := "application/json"
	runes := []rune(key)
	first, rest := string(runes[:4]), string(runes[4:])
	bodies := map[string][2]string{
		"code":             {js, `{"code":` + quote(key) + `,"message":"m"}`},
		"message":          {js, `{"code":"C","message":` + quote("API key "+key+" is unknown") + `}`},
		"ref":              {js, `{"code":"C","message":"m","ref":` + quote(key) + `}`},
		"details":          {js, `{"code":"C","details":` + quote(key) + `}`},
		"details, nested":  {js, `{"code":"C","details":{"a":[{"b":{` + quote(key) + `:[1,` + quote("x"+key+"y") + `]}}]}}`},
		"details, sloppy":  {js, `{"code":"C","details":{"a":"` + sloppy + `"}}`},
		"details, unicode": {js, `{"code":"C","details":{"a":["` + unicoded + `"]}}`},
		"all, unicode":     {js, `{"code":"` + unicoded + `","message":"` + unicoded + `","ref":"` + unicoded + `","details":"` + unicoded + `"}`},
		"JSON in message":  {js, `{"message":` + quote(`{"a":`+quote(key)+`}`) + `}`},
		"twice in message": {js, `{"message":` + quote(`{"a":`+quote(`{"b":"`+sloppy+`","c":`+quote(key)+`}`)+`}`) + `}`},
		"query escaped":    {js, `{"message":` + quote("GET /?key="+url.QueryEscape(key)) + `}`},
		"path escaped":     {js, `{"message":` + quote("GET /"+url.PathEscape(key)) + `,"details":` + quote(url.PathEscape(key)) + `}`},
		"percent":          {js, `{"message":` + quote(percent) + `,"details":{"u":` + quote(percent) + `}}`},
		"percent, twice":   {js, `{"message":` + quote(url.QueryEscape(url.QueryEscape(key))) + `}`},
		"HTML in message":  {js, `{"message":` + quote("<b>"+html.EscapeString(key)+"</b>") + `,"details":` + quote(html.EscapeString(key)) + `}`},
		"decimal":          {js, `{"message":` + quote(decimal) + `,"details":` + quote(decimal) + `}`},
		"hexadecimal":      {js, `{"message":` + quote(hexed) + `,"details":` + quote(hexed) + `}`},
		"HTML, twice":      {js, `{"message":` + quote(html.EscapeString(html.EscapeString(key))) + `}`},
		"page":             {"text/html", `<html><head><title>401</title></head><body><p>` + html.EscapeString(key) + `</p></body></html>`},
		"page, decimal":    {"text/html", `<p>` + decimal + `</p>`},
		"page, twice":      {"text/html", `<p>` + html.EscapeString(html.EscapeString(key)) + `</p>`},
		"page, in pieces":  {"text/html", `<p>` + html.EscapeString(first) + `<!-- x --><b>` + html.EscapeString(rest) + `</b></p>`},
		"wrapped":          {"text/plain", first + "\r\n\t" + rest},
		"with zeros":       {"text/plain", first + "\x00\u200b" + rest},
		"text":             {"text/plain", "who is " + key + "?"},
		"broken JSON":      {js, `{"message":"` + key},
		"a long way down":  {js, `{"message":` + quote(strings.Repeat("x", 490)+key) + `}`}, // over the limit of what is kept
		"a number":         {js, `{"code":` + quote(key) + `,"message":7}`},
	}
	return bodies
}

// A server is known to repeat the key it does not know. No way of writing it gets
// through.
func TestServerThatEchoesTheKey(t *testing.T) {
	t.Parallel()
	for _, key := range attackKeys {
		bodies := attackEcho(key)
		for name, body := range bodies {
			client := attackSetup{key: key, rt: attackTrip(func(*http.Request) (*http.Response, error) {
				return attackReply(401, body[0], body[1]), nil
			})}.client(t)
			_, err := client.APIKeys.Get(t.Context(), attackUID)
			var apiErr *palette.APIError
			require.ErrorAs(t, err, &apiErr, name)
			attackNoLeak(t, err, key)
			for _, text := range []string{err.Error(), apiErr.Code, apiErr.Message, apiErr.Ref, string(apiErr.Details)} {
				assert.NotContains(t, attackDecoded(text), attackDecoded(key), "%s: %s", name, text)
			}
			assert.True(t, apiErr.Details == nil || json.Valid(apiErr.Details), "%s: %s", name, apiErr.Details)
			if name != "a long way down" {
				assert.Contains(t, attackForms(apiErr)+string(apiErr.Details), "[REDACTED]", name)
			}
		}
	}
}

// attackDecoded is text without any of the escapings, however often applied. It shares nothing
// with the scrubber.
func attackDecoded(text string) string {
	for range 6 {
		text = html.UnescapeString(text)
		if unescaped, err := url.PathUnescape(text); err == nil {
			text = unescaped
		}
		text = strings.ReplaceAll(text, `\/`, "/")
		var decoded string
		if json.Unmarshal([]byte(`"`+text+`"`), &decoded) == nil {
			text = decoded
		}
	}
	return strings.Join(strings.Fields(text), "")
}

// What is around the key stays readable where the server repeats it as it is.
func TestScrubbingKeepsTheRest(t *testing.T) {
	t.Parallel()
	client := attackSetup{rt: attackTrip(func(*http.Request) (*http.Response, error) {
		quoted, err := json.Marshal("key " + attackKey + " is unknown")
		require.NoError(t, err)
		return attackReply(404, "application/json", `{"code":"ResourceNotFound","message":`+string(quoted)+`,"details":{"a":"b \u002b c"},"ref":"r-1"}`), nil
	})}.client(t)
	_, err := client.APIKeys.Get(t.Context(), attackUID)
	var apiErr *palette.APIError
	require.ErrorAs(t, err, &apiErr)
	assert.Equal(t, "palette: apiKeys.get: 404 ResourceNotFound: key [REDACTED] is unknown (ref r-1, 1 attempt)", err.Error())
	assert.JSONEq(t, `{"a":"b + c"}`, string(apiErr.Details))
}

// In a Location, and wherever a broken reply ends up in the words of net/http.
func TestServerThatEchoesTheKeyInHeadersAndBrokenReplies(t *testing.T) {
	t.Parallel()
	for _, key := range attackKeys {
		for _, reply := range []string{
			"HTTP/1.1 302 Found\r\nLocation: https://attacker.test/" + key + "/x\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 302 Found\r\nLocation: https://attacker.test/" + url.PathEscape(key) + "/x\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 302 Found\r\nLocation: https://attacker.test/?" + url.QueryEscape(key) + "\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 302 Found\r\nLocation: " + key + "\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 401 " + key + "\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 " + key + "\r\n\r\n",
			key + "\r\n\r\n",
			"HTTP/1.1 200 OK\r\n" + key + "\r\n\r\n",
			"HTTP/1.1 200 OK\r\nContent-Length: " + key + "\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + key + "\r\n\r\n",
			"HTTP/1.1 200 OK\r\nContent-Type: application/" + key + "\r\nContent-Length: 2\r\n\r\n{}",
			"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 500\r\n\r\n" + key,
			"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + key + "\r\n",
			"HTTP/1.1 401 No\r\nRetry-After: " + key + "\r\nWWW-Authenticate: " + key + "\r\nContent-Length: 0\r\n\r\n",
		} {
			server := attackRaw(t, func(conn *attackConn) {
				if conn.request() {
					conn.send(reply)
				}
			})
			client := attackSetup{url: server.url, key: key}.client(t)
			_, err := client.APIKeys.Get(t.Context(), attackUID)
			require.Error(t, err, reply)
			attackNoLeak(t, err, key)
			for _, e := range attackChain(err) {
				assert.NotContains(t, attackDecoded(e.Error()), attackDecoded(key), reply)
			}
		}
	}
}

// Half a key is a secret, too: of an error that is cut in the middle of one, nothing is kept.
func TestErrorCutInsideTheKey(t *testing.T) {
	t.Parallel()
	half := attackKeys[1][:20]
	for _, beginning := range []string{`{"message":"` + half, "<p>" + half, half} {
		for _, length := range []string{"Content-Length: 500\r\n\r\n" + beginning, "Content-Length: 2000000\r\n\r\n" + beginning, fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(beginning), beginning)} {
			server := attackRaw(t, func(conn *attackConn) {
				if conn.request() {
					conn.send("HTTP/1.1 401 No\r\nContent-Type: application/json\r\n" + length)
				}
			})
			err := attackSetup{url: server.url, key: attackKeys[1]}.client(t).APIKeys.Delete(t.Context(), attackUID)
			attackIs(t, err, palette.ErrUnauthorized)
			attackNoLeak(t, err, half)
		}
	}
	client := attackSetup{key: attackKeys[1], rt: attackTrip(func(*http.Request) (*http.Response, error) {
		resp := attackReply(401, "text/plain", strings.Repeat(" ", 1<<20-10)+attackKeys[1]) // the limit is in the middle of the key
		resp.ContentLength = -1
		return resp, nil
	})}.client(t)
	err := client.APIKeys.Delete(t.Context(), attackUID)
	attackIs(t, err, palette.ErrUnauthorized)
	attackNoLeak(t, err, attackKeys[1][:10])
}

// attackLoud is an error that shows the key in what fmt prints of it beside its text.
type attackLoud struct {
	request http.Header
	cause   error
}

func (e attackLoud) Error() string { return "quiet" }
func (e attackLoud) Unwrap() error { return e.cause }

type attackVerbose string

func (e attackVerbose) Error() string { return "quiet" }
func (e attackVerbose) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprint(f, string(e))
}

// A transport of the caller's own may put the request into its errors. They are not
// passed on then, but what kind they are is.
func TestOwnTransportWhoseErrorShowsTheKey(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]func(*http.Request) error{
		"text":    func(req *http.Request) error { return errors.New("cannot send " + req.Header.Get("ApiKey")) },
		"dump":    func(req *http.Request) error { return fmt.Errorf("cannot send %v", req.Header) },
		"Go dump": func(req *http.Request) error { return fmt.Errorf("cannot send %#v", req.Header) },
		"escaped": func(req *http.Request) error {
			return fmt.Errorf("cannot send %s", url.QueryEscape(req.Header.Get("ApiKey")))
		},
		"field":     func(req *http.Request) error { return attackLoud{request: req.Header} },
		"pointer":   func(req *http.Request) error { return &attackLoud{request: req.Header} },
		"formatter": func(req *http.Request) error { return attackVerbose(req.Header.Get("ApiKey")) },
		"wrapped": func(req *http.Request) error {
			return fmt.Errorf("outer: %w", attackLoud{cause: errors.New(req.Header.Get("ApiKey"))})
		},
		"joined": func(req *http.Request) error {
			return errors.Join(errors.New("first"), fmt.Errorf("second: %w", &attackLoud{request: req.Header}))
		},
		"OpError": func(req *http.Request) error {
			return &net.OpError{Op: "read", Net: "tcp", Err: errors.New(req.Header.Get("ApiKey"))}
		},
		"URL error": func(req *http.Request) error {
			return &url.Error{Op: "Get", URL: "https://x/?" + req.Header.Get("ApiKey"), Err: &url.Error{Op: "Get", URL: req.Header.Get("ApiKey"), Err: errors.New("x")}}
		},
		"context": func(req *http.Request) error {
			return fmt.Errorf("%s: %w", req.Header.Get("ApiKey"), context.DeadlineExceeded)
		},
	} {
		for _, key := range attackKeys {
			client := attackSetup{key: key, rt: attackTrip(func(req *http.Request) (*http.Response, error) { return nil, wrong(req) })}.client(t)
			for _, call := range attackCalls()[:5] {
				_, err := call.do(t.Context(), client.APIKeys)
				require.Error(t, err)
				attackNoLeak(t, err, key)
				assert.Equal(t, call.creates(), errors.Is(err, palette.ErrOutcomeUnknown))
				assert.Equal(t, name == "context", errors.Is(err, context.DeadlineExceeded), "%s: %v", name, err)
				assert.True(t, strings.HasPrefix(err.Error(), "palette: "+call.op+": "), err)
			}
		}
	}
}

// An innocent error of the caller's transport comes back as it is.
func TestOwnTransportErrorIsKept(t *testing.T) {
	t.Parallel()
	own := attackLoud{cause: errors.New("deep")}
	client := attackSetup{rt: attackTrip(func(*http.Request) (*http.Response, error) { return nil, &own })}.client(t)
	_, err := client.APIKeys.Get(t.Context(), attackUID)
	var got *attackLoud
	require.ErrorAs(t, err, &got)
	assert.Same(t, &own, got)
}

// No error of the net leads back to the request, which carries the key.
func TestErrorsLeadToNoRequest(t *testing.T) {
	t.Parallel()
	closed := attackRaw(t, func(conn *attackConn) { conn.reset() })
	cut := attackRaw(t, func(conn *attackConn) {
		if conn.request() {
			conn.reset()
		}
	})
	half := attackRaw(t, func(conn *attackConn) {
		if conn.request() {
			conn.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{")
		}
	})
	untrusted := httptest.NewUnstartedServer(nil)
	untrusted.Config.ErrorLog = log.New(new(bytes.Buffer), "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	for _, base := range []string{
		closed.url, cut.url, half.url, attackRefused, untrusted.URL, "https://" + strings.TrimPrefix(cut.url, "http://"),
	} {
		client := attackSetup{url: base}.client(t)
		for _, call := range attackCalls() {
			_, err := call.do(t.Context(), client.APIKeys)
			require.Error(t, err, base)
			attackNoLeak(t, err, attackKey)
		}
	}
}

// The log has what happened, and nothing that was in a header or a body.
func TestLogNeverShowsSecrets(t *testing.T) {
	t.Parallel()
	const body = "BODY-MARK"
	var out bytes.Buffer
	for _, handler := range []slog.Handler{
		slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug - 100}),
		slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug - 100}),
	} {
		for _, reply := range []func() (*http.Response, error){
			func() (*http.Response, error) {
				return attackReply(201, "application/json", `{"apiKey":"`+attackMadeKey+`","uid":"`+body+`"}`), nil
			},
			func() (*http.Response, error) {
				resp := attackReply(429, "application/json", `{"code":"`+body+`","message":"`+body+`","ref":"`+body+`"}`)
				resp.Header.Set("X-Header", body)
				return resp, nil
			},
			func() (*http.Response, error) { return attackReply(503, "text/html", body), nil },
			func() (*http.Response, error) { return nil, errors.New(body + attackKey) },
		} {
			client := attackSetup{
				retry: attackTwice, more: []palette.Option{palette.WithLogger(slog.New(handler))},
				rt: attackTrip(func(*http.Request) (*http.Response, error) { return reply() }),
			}.client(t)
			for _, call := range attackCalls() {
				_, err := call.do(t.Context(), client.APIKeys)
				_ = err // it is the log that is asked about
			}
		}
	}
	require.Contains(t, out.String(), "apiKeys.create", "nothing was logged: the test would prove nothing")
	require.Contains(t, out.String(), "WARN")
	for _, secret := range []string{attackKey, attackMadeKey, body} {
		attackHides(t, out.String(), secret)
	}
}

// Without a logger there is no output, whatever goes wrong. The calls run in a process
// of their own, so that all it writes is caught, also what other packages write.
func TestNothingIsEverPrinted(t *testing.T) {
	t.Parallel()
	const child = "PALETTE_TEST_QUIET_CHILD"
	if os.Getenv(child) != "" {
		attackEverything(t)
		os.Exit(0) // before the testing package says anything
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNothingIsEverPrinted$")
	cmd.Env = append(os.Environ(), child+"=1", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Empty(t, string(out))
}

// attackEverything makes calls that go right and wrong in many ways.
func attackEverything(t *testing.T) {
	t.Helper()
	var status atomic.Int64
	var body atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if status.Load() == 0 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Set-Cookie", "broken=\x01")
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte(body.Load().(string)))
	}))
	defer server.Close()
	client := attackSetup{url: server.URL, retry: attackTwice, more: []palette.Option{palette.WithRateLimit(1e6, 1)}}.client(t)
	for _, code := range []int64{0, 201, 302, 401, 503} {
		status.Store(code)
		for _, call := range attackCalls() {
			for _, text := range []string{call.reply, "<html>"} {
				body.Store(text)
				_, _ = call.do(t.Context(), client.APIKeys)
			}
		}
	}
	_, _ = client.APIKeys.Get(t.Context(), "..")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = client.APIKeys.List(canceled)
	for _, base := range []string{"http://127.0.0.1:1", "https://127.0.0.1:1", "https://" + server.Listener.Addr().String()} {
		client := attackSetup{url: base, retry: attackTwice}.client(t)
		_, _ = client.APIKeys.List(t.Context())
		_ = client.APIKeys.Delete(t.Context(), attackUID)
	}
	_, _ = palette.NewClient(palette.WithAPIKey(attackKey+"\n"), nil)
	_, _ = palette.NewClient()
}
