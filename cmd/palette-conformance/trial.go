package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// trial is one observation of a row. After the first failure, its methods do nothing.
type trial struct {
	*session
	ctx      context.Context
	made     []*key // deleted in the end
	result   string // of a failure; "" if there was none
	observed string
}

func (t *trial) fail(result, format string, args ...any) {
	if t.result == "" {
		t.result, t.observed = result, fmt.Sprintf(format, args...)
	}
}

var permissions = map[string]string{
	http.MethodGet: "apiKey.get", http.MethodPost: "apiKey.create", http.MethodDelete: "apiKey.delete",
	http.MethodPut: "apiKey.update", http.MethodPatch: "apiKey.update",
}

// send sends a request. Responses that say nothing about the row are failures.
func (t *trial) send(client *palette.Client, method, path, body string) (a answer) {
	if t.result != "" {
		return a
	}
	a = send(t.ctx, client, method, path, body)
	switch {
	case a.status == 0:
		t.fail(notTested, "no response")
	case a.status == http.StatusForbidden:
		t.fail(notTested, "needs %s", permissions[method])
	case a.unclear():
		t.fail(notTested, "status %d", a.status)
	}
	return a
}

// key returns an active key that rows share.
func (t *trial) key() *key {
	if t.shared == nil {
		k := t.create()
		t.shared, t.made = k, nil
	}
	return t.shared
}

// create creates a key.
func (t *trial) create() *key {
	k := t.createKey(func(*palette.CreateAPIKeyRequest) {})
	if k.status >= 300 {
		t.fail(notTested, "create: status %d", k.status)
	}
	return k
}

// vary creates a key after change has changed the request.
func (t *trial) vary(change func(*palette.CreateAPIKeyRequest)) *key {
	k := t.tryCreate(change)
	if k.status >= 300 {
		t.fail(contradicted, "status %d", k.status)
	}
	return k
}

// tryCreate creates a key after change has changed the request, which the server may reject.
// Then it must accept an unchanged one: the reason could be a limit.
func (t *trial) tryCreate(change func(*palette.CreateAPIKeyRequest)) *key {
	k := t.createKey(change)
	if k.status >= 300 {
		t.create()
	}
	return k
}

// createKey creates a key, whatever the status of the response.
func (t *trial) createKey(change func(*palette.CreateAPIKeyRequest)) *key {
	if t.denied == "" && len(t.keys) >= maxKeys && t.clean(t.ctx) != nil {
		t.denied = "earlier keys could not be deleted"
	}
	if t.denied != "" {
		t.fail(notTested, "%s", t.denied)
	}
	if t.result != "" || t.ctx.Err() != nil {
		return &key{}
	}
	t.serial++
	name := fmt.Sprint(t.prefix, t.serial)
	k := &key{sent: palette.CreateAPIKeyRequest{
		Metadata: palette.ObjectMetaInput{Name: name, Annotations: map[string]string{}},
		Spec:     palette.APIKeyCreateSpec{Expiry: t.now().Add(time.Hour + 123*time.Millisecond)},
	}}
	change(&k.sent)
	k.sent.Metadata.Annotations[marker] = k.sent.Metadata.Name
	t.keys, t.made = append(t.keys, k), append(t.made, k)
	body, _ := json.Marshal(k.sent) // strings and times
	ctx := t.ctx
	t.ctx = context.WithoutCancel(ctx) // a signal must not hide whether the key exists
	a := t.send(t.client, http.MethodPost, collection, string(body))
	t.ctx = ctx
	if k.status = a.status; a.status >= 300 && !a.unclear() {
		t.forget(k)
	}
	if a.status == http.StatusForbidden {
		t.denied = t.observed
	}
	_ = json.Unmarshal(a.body, &k.response) // rows C1 and C2 say what is missing
	if t.result == "" && a.status < 300 {
		t.find(k)
	}
	return k
}

func (t *trial) forget(k *key) {
	same := func(other *key) bool { return k == other }
	t.keys, t.made = slices.DeleteFunc(t.keys, same), slices.DeleteFunc(t.made, same)
	if t.shared == k {
		t.shared = nil
	}
}

// find finds the uid of a new key: that of the response, or, if it is something else, by
// the name.
func (t *trial) find(k *key) {
	_, ok := t.wait(func() bool {
		if got, found := t.get(k.response.UID); found && got.Metadata.Name == k.sent.Metadata.Name {
			k.uid = k.response.UID
			return true
		}
		keys, _ := t.client.APIKeys.FindByName(t.ctx, k.sent.Metadata.Name) // it tries again
		for _, found := range keys {
			known := slices.ContainsFunc(t.keys, func(other *key) bool { return other.uid == found.Metadata.UID })
			if !known {
				k.uid = found.Metadata.UID
			}
		}
		return k.uid != ""
	})
	if !ok {
		t.fail(notTested, "the new key is not found")
	}
}

var uidPattern = regexp.MustCompile(`^[0-9A-Za-z_-]+$`)

// get returns a key, if the server has it and this program may change it.
func (t *trial) get(uid string) (got palette.APIKey, found bool) {
	if !uidPattern.MatchString(uid) {
		return got, false
	}
	a := t.send(t.client, http.MethodGet, keyPath(uid), "")
	switch {
	case a.status == http.StatusNotFound && a.media() == "json":
		return got, false
	case a.status != http.StatusOK || json.Unmarshal(a.body, &got) != nil:
		t.fail(notTested, "get: status %d, %s", a.status, a.media())
	case !t.ours(got):
		t.fail(notTested, "name or marker of the key have changed")
	}
	return got, t.result == ""
}

// read returns a key that must exist.
func (t *trial) read(k *key) palette.APIKey {
	got, found := t.get(k.uid)
	if !found {
		t.fail(notTested, "the key does not exist")
	}
	return got
}

// change changes a key, after a look at whether it still is one of this program.
func (t *trial) change(k *key, method, subpath, body string) {
	t.read(k)
	a := t.send(t.client, method, keyPath(k.uid)+subpath, body)
	if a.status >= 300 {
		t.fail(contradicted, "status %d", a.status)
	}
}

// update updates a key to what was sent to create it, after change has changed that. It
// returns the key once a read shows the update, or in the end without.
func (t *trial) update(k *key, change func(*palette.UpdateAPIKeyRequest)) (got palette.APIKey) {
	if t.result != "" {
		return got
	}
	req := palette.UpdateAPIKeyRequest{Metadata: k.sent.Metadata, Spec: palette.APIKeyUpdateSpec{Expiry: k.sent.Spec.Expiry}}
	req.Metadata.Annotations = maps.Clone(req.Metadata.Annotations)
	t.serial++
	req.Metadata.Annotations["update"] = strconv.Itoa(t.serial)
	change(&req)
	body, _ := json.Marshal(req) // strings and times
	t.change(k, http.MethodPut, "", string(body))
	t.wait(func() bool {
		got = t.read(k)
		return got.Metadata.Annotations["update"] == req.Metadata.Annotations["update"]
	})
	return got
}

// setState activates or deactivates a key. It reports whether a read shows that.
func (t *trial) setState(k *key, method, subpath string, active bool) bool {
	t.change(k, method, subpath, fmt.Sprintf(`{"isActive":%t}`, active))
	_, ok := t.wait(func() bool { return t.read(k).Status.IsActive == active })
	return ok
}

func (t *trial) revoke(k *key) { t.setState(k, http.MethodPut, "/state", false) }

// remove deletes a key. It reports whether the server had it.
func (t *trial) remove(uid string) bool {
	_, found := t.get(uid)
	if found {
		a := t.send(t.client, http.MethodDelete, keyPath(uid), "")
		if a.status >= 300 && a.status != http.StatusNotFound {
			t.fail(notTested, "delete: status %d", a.status)
		}
	}
	if t.result == "" {
		for _, k := range slices.Clone(t.keys) {
			if k.uid == uid && uid != "" { // clean finds the others
				t.forget(k)
			}
		}
	}
	return found
}

// try sends a request with another credential.
func (t *trial) try(value string) answer {
	client, err := t.client.WithAPIKey(value)
	if err != nil {
		t.fail(notTested, "the SDK does not accept the value")
	}
	return t.send(client, http.MethodGet, collection, "")
}

// works waits until a key works as a credential.
func (t *trial) works(k *key) (string, bool) {
	when, ok := t.wait(func() bool { return t.try(k.response.APIKey).status == http.StatusOK })
	observed, _ := is(ok, "works ", "does not work ")
	return observed + when, ok
}

// working creates a key that works: a 401 later on has another reason.
func (t *trial) working() *key {
	k := t.create()
	if _, ok := t.works(k); !ok {
		t.fail(notTested, "the key does not work")
	}
	return k
}

// rejected waits until a key gets 401, several times in a row on new connections.
func (t *trial) rejected(k *key) (string, bool) {
	status := 0
	when, ok := t.wait(func() bool {
		for range streak {
			t.client.CloseIdleConnections()
			if status = t.try(k.response.APIKey).status; status == http.StatusOK {
				return false
			}
		}
		return true
	})
	return fmt.Sprintf("%d %s", status, when), ok && status == http.StatusUnauthorized
}

// wait calls done until it returns true. It returns how long that took, in words.
func (t *trial) wait(done func() bool) (string, bool) {
	for start := time.Now(); t.result == ""; {
		elapsed := time.Since(start)
		switch ok := done(); {
		case ok && elapsed < interval:
			return "at once", true
		case ok, elapsed > maxWait, sleep(t.ctx, interval) != nil:
			return fmt.Sprintf("after %d s", int(elapsed.Seconds())), ok
		}
	}
	return "", false
}
