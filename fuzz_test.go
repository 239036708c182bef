package palette_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// attackBadUIDs are no uids: sent, each would address something else than one key.
var attackBadUIDs = []string{
	"", ".", "..", " ", "\t", "\n", "/", "//", "../", "/..", "../apiKeys", "../../v1/users", "a/b", "/a", "a/", "a/../b", "./a", "a/.", `\`, `..\a`,
	"%2e", "%2e%2e", "%2E%2E", ".%2e", "%2e.", "%2F", "..%2f", "%252e%252e", "%00", "%", "%zz", "a%20b",
	"?", "a?b", "?continue=x", "a?", "#", "a#b", "a#", "a;b", "a&b", "a=b", "a+b", "a@b", "a:b", "a,b", "a*b", "a!b", "a$b", "a'b", "a(b)", `a"b`, "a<b>", "a|b", "a^b", "a`b", "a[b]", "a{b}", "{uid}",
	"a b", " a", "a ", "a\tb", "a\nb", "a\r\nX-Evil: 1", "\x00", "a\x00", "\x1f", "\x7f", "\x80", "\xff", "\xc3\x28", "\xc0\xae\xc0\xae",
	"ä", "é", "ａ", "．．", "‥", "…", "\u2024", "\u200b", "\u00a0", "\ufeff", "\u202e", "鍵", "🔑", "٣", "a\u0301",
	attackUID + "/state", attackUID + "/", attackUID + "?", attackUID + "\n", " " + attackUID, attackUID + "%00",
}

// attackGoodUIDs look like uids, if only to somebody else.
var attackGoodUIDs = []string{attackUID, "a", "A", "0", "-", "_", "~", "...", "....", ".a", "a.", "a..b", "..a", "a-b_c~d.e", strings.Repeat("f", 500), "state", "apiKeys"}

// What cannot be a uid is refused by every method, and nothing is sent.
func TestUIDThatIsNoneSendsNothing(t *testing.T) {
	t.Parallel()
	for _, uid := range attackBadUIDs {
		for _, call := range attackCallsOn(uid) {
			client := attackSetup{retry: attackTwice, rt: attackTrip(func(req *http.Request) (*http.Response, error) {
				t.Errorf("%s with uid %q sent %s %s", call.name, uid, req.Method, req.URL)
				return attackReply(204, "", ""), nil
			})}.client(t)
			nothing, err := call.do(t.Context(), client.APIKeys)
			require.True(t, attackIs(t, err, palette.ErrInvalidArgument), "%s with uid %q", call.name, uid)
			require.True(t, nothing)
			require.True(t, strings.HasPrefix(err.Error(), "palette: "+call.op+": invalid argument: "), err)
		}
	}
}

func FuzzUID(f *testing.F) {
	for _, uid := range attackBadUIDs {
		f.Add(uid)
	}
	for _, uid := range attackGoodUIDs {
		f.Add(uid)
	}
	looksLikeOne := regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)
	f.Fuzz(func(t *testing.T, uid string) {
		good := looksLikeOne.MatchString(uid) && !strings.HasSuffix(uid, "\n") && uid != "." && uid != ".."
		for _, call := range attackCallsOn(uid) {
			var sent []*http.Request
			client := attackSetup{rt: attackTrip(func(req *http.Request) (*http.Response, error) {
				sent = append(sent, req)
				return attackReply(call.want, "application/json", call.reply), nil
			})}.client(t)
			_, err := call.do(t.Context(), client.APIKeys)
			if !good {
				require.ErrorIs(t, err, palette.ErrInvalidArgument)
				require.Empty(t, sent)
				continue
			}
			require.NoError(t, err)
			require.Len(t, sent, 1)
			u := sent[0].URL
			require.Equal(t, attackURL+call.path, u.String())
			require.Equal(t, u.Path, u.EscapedPath(), "nothing is escaped, so that nothing is read in two ways")
			shape := attackPrefix + strings.Replace(call.path, uid, "", 1)
			require.Equal(t, strings.Count(shape, "/"), strings.Count(u.Path, "/"), "the uid is one segment")
			resolved, err := url.Parse(attackURL + "/v1/apiKeys/")
			require.NoError(t, err)
			require.Equal(t, u.Path, resolved.JoinPath(strings.TrimPrefix(call.path, "/v1/apiKeys/")).Path, "it resolves to itself")
		}
	})
}

func FuzzBaseURL(f *testing.F) {
	for _, raw := range []string{
		"palette.test", "https://palette.test", "https://palette.test/", "https://palette.test/a/b/", "HTTPS://PALETTE.TEST/A", "palette.test:8443", "palette.test:",
		"https://[::1]:8443/x", "http://[::1]", "http://127.0.0.1:9/x", "http://localhost", "http://palette.test", "https://user:pw@palette.test", "https://palette.test?x",
		"https://palette.test#x", "https://palette.test?", "https://palette.test/%2e%2e/x", "https://palette.test/a%2Fb", "https://palette.test/../..", "https://palette.test//x//", "//palette.test",
		"https:palette.test", "https:///x", "https://", "", " ", "ftp://palette.test", "javascript://x", "https://palette.test:99999", "https://palette.test:x", "https://pal ette.test", "https://ä.test/ö",
		"https://%41.test", "https://palette.test/{uid}", "https://palette.test/a b", "https://palette.test/;x=y", `https://palette.test\@attacker.test`, "https://palette.test/\x00", "https://[fe80::1%25eth0]/", "://", "https://.", "https://*", "https://palette.test/v1/apiKeys",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var call attackCall
		var sent []*http.Request
		client, err := palette.NewClient(palette.WithAPIKey(attackKey), palette.WithBaseURL(raw),
			palette.WithHTTPClient(&http.Client{Transport: attackTrip(func(req *http.Request) (*http.Response, error) {
				sent = append(sent, req)
				return attackReply(call.want, "application/json", call.reply), nil
			})}))
		if err != nil {
			require.ErrorIs(t, err, palette.ErrInvalidArgument)
			require.Nil(t, client)
			return
		}
		if !strings.Contains(raw, "://") {
			raw = "https://" + raw
		}
		base, err := url.Parse(raw)
		require.NoError(t, err, "what is accepted is a URL")
		require.Nil(t, base.User)
		require.Empty(t, base.RawQuery+base.Fragment)
		require.NotEmpty(t, base.Hostname())
		if base.Scheme != "https" {
			require.Equal(t, "http", base.Scheme)
			ip := net.ParseIP(strings.Split(base.Hostname(), "%")[0])
			require.True(t, base.Hostname() == "localhost" || ip.IsLoopback(), "http to %s", base.Hostname())
		}
		for _, call = range attackCalls() {
			sent = nil
			_, err := call.do(t.Context(), client.APIKeys)
			require.NoError(t, err, "what is accepted can be used")
			require.Len(t, sent, 1)
			u := sent[0].URL
			require.Equal(t, base.Scheme, u.Scheme)
			require.Equal(t, strings.TrimSuffix(base.Host, ":"), u.Host)
			require.Equal(t, strings.TrimRight(base.EscapedPath(), "/")+call.path, u.EscapedPath())
			require.Empty(t, u.RawQuery+u.Fragment)
			require.Nil(t, u.User)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{
		"", "0", "1", "30", "31", "-5", "+5", "NaN", "1e99", "5.5", "0x10", " 7 ", "9223372036", "9223372037", "18446744073709551615", "18446744073709551616", "99999999999999999999",
		"Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Friday, 31-Dec-99 23:59:59 GMT", "Fri Dec 31 23:59:59 9999", "Mon, 01 Jan 0001 00:00:00 GMT", "٣", "1_000", "\x00", "00000000000000000000000000005",
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		requests := 0
		before := time.Now()
		client := attackSetup{retry: palette.RetryPolicy{MaxRetries: 1, MinWait: 1, MaxWait: 1}, rt: attackTrip(func(*http.Request) (*http.Response, error) {
			requests++
			resp := attackReply(429, "", "")
			resp.Header["Retry-After"] = []string{value}
			return resp, nil
		})}.client(t)
		_, err := client.APIKeys.Get(t.Context(), attackUID)
		var apiErr *palette.APIError
		require.ErrorAs(t, err, &apiErr)
		got := apiErr.RetryAfter
		require.GreaterOrEqual(t, got, time.Duration(0))
		require.Equal(t, got > 1, requests == 1, "asked for %v, asked %d times", got, requests)

		digits := value != "" && strings.Trim(value, "0123456789") == ""
		date, dateErr := http.ParseTime(value)
		switch {
		case digits:
			seconds, _ := strconv.ParseFloat(value, 64) // infinite where it is too much
			if seconds < 9e9 {
				require.InDelta(t, seconds, got.Seconds(), 0.5)
			} else {
				require.Greater(t, got, 250*365*24*time.Hour, "for ever")
			}
		case dateErr == nil:
			require.LessOrEqual(t, got, max(0, date.Sub(before)))
			require.GreaterOrEqual(t, got, max(0, time.Until(date)))
		default:
			require.Zero(t, got)
		}
	})
}

func FuzzErrorBody(f *testing.F) {
	for _, sent := range attackErrorBodies {
		f.Add(uint16(404), sent.contentType, []byte(sent.body))
	}
	for _, sent := range attackEcho(attackKey) {
		f.Add(uint16(401), sent[0], []byte(sent[1]))
	}
	for _, body := range attackNoJSON {
		f.Add(uint16(503), "application/json", []byte(body))
	}
	for _, body := range []string{
		`{"code":1e400}`, `{"code":-0}`, `{"code":"\ud800"}`, "{\"message\":\"a\u2028b\\u0000c\\r\\nd\u202e\"}", `{"CODE":"x","Message":"y"}`, `{"code":"a","code":"b"}`,
		`{"details":"\u003cscript\u003e"}`, `{"details":[[[[[[[[]]]]]]]]}`, strings.Repeat("[", 2000), strings.Repeat("<a", 500), "<!-- " + strings.Repeat("-", 500), "<script><style></script>x", "<plaintext>x</plaintext>", "&#0;&#1114112;&lt", "<title>\xff\xfe</title>",
	} {
		f.Add(uint16(300), "text/html", []byte(body))
		f.Add(uint16(500), "", []byte(body))
	}
	f.Fuzz(func(t *testing.T, status uint16, contentType string, body []byte) {
		code := 300 + int(status)%300
		client := attackSetup{rt: attackTrip(func(*http.Request) (*http.Response, error) {
			return attackReply(code, contentType, string(body)), nil
		})}.client(t)
		_, err := client.APIKeys.Get(t.Context(), attackUID)
		var e *palette.APIError
		require.ErrorAs(t, err, &e)
		require.Equal(t, code, e.StatusCode)
		require.True(t, strings.HasPrefix(err.Error(), fmt.Sprintf("palette: apiKeys.get: %d", code)), err)
		require.True(t, strings.HasSuffix(err.Error(), "1 attempt)"), err)
		for text, limit := range map[string]int{err.Error(): 1200, e.Code: 201, e.Message: 501, e.Ref: 201, e.Location: 0} {
			require.True(t, utf8.ValidString(text))
			require.LessOrEqual(t, utf8.RuneCountInString(text), limit)
			require.False(t, strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }), "%q cannot be printed", text)
			require.NotContains(t, text, attackKey)
		}
		require.True(t, e.Details == nil || json.Valid(e.Details), "%q", e.Details)
		require.NotContains(t, string(e.Details), attackKey)
		encoded, err := json.Marshal(e) //nolint:musttag // as anybody may do
		require.NoError(t, err, "an APIError can be encoded")
		attackHides(t, string(encoded), attackKey)
		require.Equal(t, code < 400, errors.Is(e, palette.ErrRedirect))
		require.Equal(t, code >= 500, errors.Is(e, palette.ErrServer))

		var fields map[string]any
		if code >= 400 && json.Unmarshal(body, &fields) == nil && len(fields) == 1 {
			if text, ok := fields["code"].(string); ok && len(text) < 50 && regexp.MustCompile(`^[A-Za-z]+$`).MatchString(text) {
				require.Equal(t, text, e.Code, "a code that can be read is read")
			}
		}
	})
}

// attackEscape writes key with the escapings of plan, one for a character, and from 128 on escaped
// once more.
func attackEscape(key string, plan []byte) string {
	var b strings.Builder
	for i, r := range []rune(key) {
		how := byte(0)
		if len(plan) > 0 {
			how = plan[i%len(plan)]
		}
		var text strings.Builder
		switch how % 8 {
		case 0:
			text.WriteRune(r)
		case 1, 2:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&text, []string{`\u%04x`, `\u%04X`}[how%2], unit)
			}
		case 3, 4:
			for _, octet := range []byte(string(r)) {
				fmt.Fprintf(&text, []string{"%%%02x", "%%%02X"}[how%2], octet)
			}
		case 5:
			fmt.Fprintf(&text, "&#%d;", r)
		case 6:
			fmt.Fprintf(&text, "&#x%X;", r)
		case 7:
			if unicode.IsPunct(r) && how%16 == 7 {
				text.WriteString(`\` + string(r))
				break
			}
			text.WriteString(html.EscapeString(string(r)))
		}
		if how >= 128 {
			b.WriteString(strings.NewReplacer("%", "%25", "&", "&amp;", `\u`, `\\u`).Replace(text.String()))
			continue
		}
		b.WriteString(text.String())
	}
	return b.String()
}

func FuzzScrubber(f *testing.F) {
	for i, key := range attackKeys {
		f.Add(key, []byte{})
		f.Add(key, []byte{byte(i)})
		f.Add(key, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8})
		f.Add(key, []byte{128, 129, 130, 131, 132, 133, 134, 135, 7, 15})
	}
	f.Fuzz(func(t *testing.T, key string, plan []byte) {
		if utf8.RuneCountInString(key) < 8 || !utf8.ValidString(key) {
			return // so short that the SDK's own words may hold it
		}
		if _, err := palette.NewClient(palette.WithAPIKey(key)); err != nil {
			return
		}
		if strings.ContainsFunc(key, func(r rune) bool { return r > '~' }) || strings.ContainsAny(key, `\%&`) {
			plan = nil // in such a key an escape could mean anything
		}
		escaped := attackEscape(key, plan)
		inJSON, err := json.Marshal("before " + escaped + " after")
		require.NoError(t, err)
		message, err := json.Marshal("before " + key + " after")
		require.NoError(t, err)
		raw := escaped // as a careless server puts it between quotes
		if !json.Valid([]byte(`"` + raw + `"`)) {
			raw = strings.Trim(string(inJSON), `"`)
		}
		for _, body := range []string{
			`{"code":` + string(inJSON) + `,"message":` + string(inJSON) + `,"ref":` + string(inJSON) + `,"details":{"a":[` + string(inJSON) + `]}}`,
			`{"message":` + string(message) + `,"details":"` + raw + `"}`,
			"<p>" + html.EscapeString(escaped) + "</p>",
			escaped,
		} {
			client := attackSetup{key: key, rt: attackTrip(func(*http.Request) (*http.Response, error) {
				resp := attackReply(401, "", body)
				return resp, nil
			})}.client(t)
			_, err := client.APIKeys.Get(t.Context(), attackUID)
			var e *palette.APIError
			require.ErrorAs(t, err, &e)
			for _, text := range []string{e.Code, e.Message, e.Ref, string(e.Details)} {
				if strings.Contains("[REDACTED] before after", key) { //nolint:gocritic // the key may be a part of these words
					return
				}
				assert.NotContains(t, text, key, body)
				assert.NotContains(t, text, escaped, body)
				assert.NotContains(t, attackDecoded(text), attackDecoded(key), body)
			}
			require.True(t, e.Details == nil || json.Valid(e.Details), "%q", e.Details)
		}
	})
}
