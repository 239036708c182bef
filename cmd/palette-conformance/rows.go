package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// row is a fact, what this project assumes of it, and how to observe it. What observe
// returns is part of the report: it must not contain what the server sent.
type row struct {
	id, fact, assumed string
	needs             string // the row that must be verified before
	flag              string // without which it is not tested
	observe           func(*trial) (observed string, asAssumed bool)
}

var rows = []row{
	{"W1", "GET /v1/users/info", "accepts an API key", "", "", func(t *trial) (string, bool) {
		a := t.send(t.client, http.MethodGet, "/v1/users/info", "")
		ok := a.status == http.StatusOK && json.Unmarshal(a.body, &t.caller) == nil && t.caller.UserUID != ""
		return fmt.Sprintf("status %d, %s", a.status, a.media()), ok
	}},
	{"E1", "an unknown uid", "404, json, a text as code", "", "", func(t *trial) (string, bool) {
		return t.send(t.client, http.MethodGet, keyPath(unknownUID()), "").like("404, json, a text as code")
	}},
	{"E2", "an unknown credential", "401, not repeated", "", "", func(t *trial) (string, bool) {
		value := randomHex(16)
		a := t.try(value)
		if strings.Contains(string(a.body), value) {
			return a.String() + ", repeated", false
		}
		return a.String() + ", not repeated", a.status == http.StatusUnauthorized
	}},
	{"C1", "create", "201 with apiKey and uid", "", "", func(t *trial) (string, bool) {
		k := t.key()
		if k.response.APIKey == "" || k.response.UID == "" {
			return fmt.Sprintf("%d without apiKey or uid", k.status), false
		}
		return fmt.Sprintf("%d with apiKey and uid", k.status), k.status == http.StatusCreated
	}},
	{"C2", "uid in the response to create", "of the key", "", "", func(t *trial) (string, bool) {
		switch k := t.key(); k.response.UID {
		case k.uid:
			return "of the key", true
		case t.caller.UserUID:
			return "of the user", false
		}
		return "of something else", false
	}},
	{"C3", "value of a key", "44 characters of base64 or 32 letters and digits", "", "", func(t *trial) (string, bool) {
		return shape(t.key().response.APIKey)
	}},
	{"C4", "a new key", "works within 90 s", "", "", func(t *trial) (string, bool) { return t.works(t.key()) }},
	{"C5", "a new key", "is listed within 90 s", "", "", func(t *trial) (string, bool) {
		k := t.key()
		when, ok := t.wait(func() bool {
			keys, err := t.client.APIKeys.FindByName(t.ctx, k.sent.Metadata.Name)
			if err != nil {
				t.fail(notTested, "no list")
			}
			return len(keys) > 0
		})
		observed, _ := is(ok, "is listed ", "is not listed ")
		return observed + when, ok
	}},
	{"C6", "a second key of the same name", "is allowed", "", "", func(t *trial) (string, bool) {
		name := t.key().sent.Metadata.Name
		t.vary(func(req *palette.CreateAPIKeyRequest) { req.Metadata.Name = name })
		return "is allowed", true
	}},
	{"C7", "owner without userUid", "the caller", "W1", "", func(t *trial) (string, bool) { return t.owner(t.key()) }},
	{"C8", "userUid of the tenant", "the owner is the caller", "W1", "tenant-owner", func(t *trial) (string, bool) {
		k := t.vary(func(req *palette.CreateAPIKeyRequest) { req.Spec.UserUID = t.caller.TenantUID })
		return t.owner(k)
	}},
	{"C9", "an annotation with a slash", "is kept", "", "", func(t *trial) (string, bool) {
		k := t.vary(func(req *palette.CreateAPIKeyRequest) { req.Metadata.Annotations[marker+"/slash"] = "kept" })
		return is(t.read(k).Metadata.Annotations[marker+"/slash"] == "kept", "is kept", "is lost")
	}},
	{"C10", "expiry", "keeps milliseconds", "", "", func(t *trial) (string, bool) {
		k := t.key()
		return is(t.read(k).Spec.Expiry.Equal(k.sent.Spec.Expiry), "keeps them", "differs")
	}},
	{"C11", "an expiry in the past", "400", "", "", func(t *trial) (string, bool) {
		k := t.tryCreate(func(req *palette.CreateAPIKeyRequest) { req.Spec.Expiry = t.now().Add(-time.Hour) })
		return fmt.Sprintf("status %d", k.status), k.status == http.StatusBadRequest
	}},
	{"C12", "a key without an expiry", "never expires", "", "no-expiry", func(t *trial) (string, bool) {
		k := t.vary(func(req *palette.CreateAPIKeyRequest) { req.Spec.Expiry = time.Time{} })
		return is(t.read(k).Spec.Expiry.IsZero(), "has none", "has one")
	}},
	{"U1", "update: annotations and labels", "are kept as sent", "", "", func(t *trial) (string, bool) {
		got := t.update(t.key(), addNotes).Metadata
		return is(got.Annotations["note"] == "1" && got.Labels["note"] == "2", "are kept", "are lost")
	}},
	{"U2", "update: omitted annotations and labels", "are erased", "U1", "", func(t *trial) (string, bool) {
		t.update(t.key(), addNotes)
		got := t.update(t.key(), nothing).Metadata
		return is(got.Annotations["note"] == "" && got.Labels["note"] == "", "are erased", "are kept")
	}},
	{"U3", "update: the server's own annotations", "survive", "", "", func(t *trial) (string, bool) {
		own := t.read(t.key()).Metadata.Annotations
		maps.DeleteFunc(own, func(name, _ string) bool { return name == marker || name == "note" || name == "update" })
		after, before := t.update(t.key(), nothing).Metadata.Annotations, len(own)
		maps.DeleteFunc(own, func(name, value string) bool { return after[name] != value })
		return fmt.Sprintf("%d of %d survive", len(own), before), before > 0 && len(own) == before
	}},
	{"U4", "update without an expiry", "keeps the old one", "", "", func(t *trial) (string, bool) {
		before := t.read(t.key()).Spec.Expiry
		after := t.update(t.key(), func(req *palette.UpdateAPIKeyRequest) { req.Spec.Expiry = time.Time{} }).Spec.Expiry
		return is(after.Equal(before), "keeps it", "changes it")
	}},
	{"U5", "update of an inactive key", "it stays inactive", "", "", func(t *trial) (string, bool) {
		k := t.create()
		t.revoke(k)
		return is(!t.update(k, nothing).Status.IsActive, "it stays inactive", "it becomes active")
	}},
	{"U6", "a shortened expiry", "401 within 90 s after it", "C4", "slow", func(t *trial) (string, bool) {
		k := t.working()
		t.update(k, func(req *palette.UpdateAPIKeyRequest) { req.Spec.Expiry = t.now().Add(soon) })
		_ = sleep(t.ctx, soon)
		return t.rejected(k)
	}},
	{"U7", "update with an expiry", "replaces the old one", "", "", func(t *trial) (string, bool) {
		want := t.now().Add(30 * time.Minute)
		got := t.update(t.key(), func(req *palette.UpdateAPIKeyRequest) { req.Spec.Expiry = want }).Spec.Expiry
		return is(got.Equal(want), "replaces it", "does not replace it")
	}},
	{"S1", "PATCH of a key", "has the effect of PUT state", "", "", func(t *trial) (string, bool) {
		k := t.create()
		ok := t.setState(k, http.MethodPatch, "", false) && t.setState(k, http.MethodPatch, "", true)
		return is(ok, "has it", "has another one")
	}},
	{"S2", "status of an inactive key", "{} or isActive false", "", "", func(t *trial) (string, bool) {
		k := t.create()
		t.revoke(k)
		got := t.send(t.client, http.MethodGet, keyPath(k.uid), "").fields()
		status := strings.Join(strings.Fields(string(got["status"])), "")
		return is(status == `{}` || status == `{"isActive":false}`, "as assumed", "another form")
	}},
	{"S3", "a revoked key", "401 within 90 s", "C4", "", func(t *trial) (string, bool) {
		k := t.working()
		t.revoke(k)
		return t.rejected(k)
	}},
	{"S4", "a reactivated key", "works within 90 s", "S3", "", func(t *trial) (string, bool) {
		k := t.working()
		t.revoke(k)
		t.rejected(k)
		t.setState(k, http.MethodPut, "/state", true)
		return t.works(k)
	}},
	{"E3", "a field of the wrong type", "422, json, a number as code", "", "", func(t *trial) (string, bool) {
		k := t.create()
		return t.send(t.client, http.MethodPatch, keyPath(k.uid), `{"isActive":"x"}`).like("422, json, a number as code")
	}},
	{"L1", "list with ?limit=1", "all keys, no listmeta", "C5", "", func(t *trial) (string, bool) {
		t.key()
		t.create()
		var list map[string]json.RawMessage
		_, ok := t.wait(func() bool { // until both are listed
			var items []json.RawMessage
			list = t.send(t.client, http.MethodGet, collection+"?limit=1", "").fields()
			_ = json.Unmarshal(list["items"], &items)
			return len(items) > 1 || list["listmeta"] != nil
		})
		if list["listmeta"] != nil {
			return "with listmeta", false
		}
		return is(ok, "more than one key", "one key")
	}},
	{"D1", "a deleted key", "401 within 90 s", "C4", "", func(t *trial) (string, bool) {
		k := t.working()
		t.remove(k.uid)
		return t.rejected(k)
	}},
	{"D2", "a second delete", "404, json, a text as code", "", "", func(t *trial) (string, bool) {
		k := t.create()
		t.remove(k.uid)
		t.wait(func() bool { _, found := t.get(k.uid); return !found })
		return t.send(t.client, http.MethodDelete, keyPath(k.uid), "").like("404, json, a text as code")
	}},
}

// lastRows need no key. They are tested after all keys were deleted.
var lastRows = []row{{"R1", "rate limit", "a burst of 50, then 429", "", "rate-limit", rateLimit}}

func is(ok bool, yes, no string) (string, bool) {
	if ok {
		return yes, true
	}
	return no, false
}

func nothing(*palette.UpdateAPIKeyRequest) {}

func addNotes(req *palette.UpdateAPIKeyRequest) {
	req.Metadata.Annotations["note"] = "1"
	req.Metadata.Labels = map[string]string{"note": "2"}
}

func (t *trial) owner(k *key) (string, bool) {
	return is(t.read(k).Spec.User.UID == t.caller.UserUID, "the caller", "somebody else")
}

// like reports whether the description of a response starts with want, and returns it.
func (a answer) like(want string) (string, bool) {
	return a.String(), strings.HasPrefix(a.String(), want)
}

// shape describes the value of a key by its length and its characters.
func shape(value string) (string, bool) {
	kind := "characters of another alphabet"
	for _, class := range []struct{ name, pattern string }{
		{"characters of base64", `^[0-9A-Za-z+/]+=*$`}, {"letters and digits", `^[0-9A-Za-z]+$`},
	} {
		if regexp.MustCompile(class.pattern).MatchString(value) {
			kind = class.name
		}
	}
	observed := fmt.Sprintf("%d %s", len(value), kind)
	return observed, observed == "44 characters of base64" || observed == "32 letters and digits"
}

// rateLimit sends a burst without a rate limit of its own.
func rateLimit(t *trial) (string, bool) {
	const total = 100
	client, err := newClient(append(slices.Clone(t.options), palette.WithoutRateLimit())...)
	if err != nil || sleep(t.ctx, rest) != nil {
		t.fail(notTested, "interrupted")
		return "", false
	}
	answers := make([]answer, total)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = send(t.ctx, client, http.MethodGet, keyPath(unknownUID()), "") })
	}
	wg.Wait()
	seconds := time.Since(start).Seconds()
	passed, rejected := 0, answer{}
	for _, a := range answers {
		switch a.status {
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			rejected = a
		case http.StatusNotFound:
			passed++
		default:
			t.fail(notTested, "status %d", a.status)
		}
	}
	observed := fmt.Sprintf("%d of %d pass in %.0f s, then %d, %s", passed, total, seconds, rejected.status, rejected.media())
	if rejected.header.Get("Retry-After") != "" {
		observed += ", Retry-After"
	}
	most := 1.1 * (50 + 10*seconds) // clocks differ
	return observed, rejected.status == http.StatusTooManyRequests && passed >= 45 && float64(passed) <= most
}
