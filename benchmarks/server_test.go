package benchmarks

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

const (
	credential = "benchmark-credential"
	keyUID     = "66e844c44bab2337f20c0000"
	listLength = 10_000
)

var (
	createBody = []byte(`{"apiKey":"ZGVtb25zdHJhdGlvbiBvZiBhIGtleSBvZiA0NCBjaGFyYQ==","uid":"` + keyUID + `"}` + "\n")
	listBody   = newListBody()
)

// newListBody returns a list in the form of the documented one.
func newListBody() []byte {
	keys := make([]string, listLength)
	for i := range keys {
		keys[i] = fmt.Sprintf(`{"metadata":{"annotations":{"description":"nightly builds %[1]d","ownerUid":"5f3a1c2e9d8b7a6c5e4f%04[1]x",`+
			`"permissions":"apiKey.create,apiKey.delete,apiKey.get,apiKey.list,apiKey.update,tag.update","scope":"tenant",`+
			`"scopeVisibility":"20","tenantUid":"5e0d1c2b3a4f5e6d7c8b9a0f"},"creationTimestamp":"2024-09-16T14:46:28.677Z",`+
			`"deletionTimestamp":"0001-01-01T00:00:00.000Z","lastModifiedTimestamp":"2024-09-16T14:46:29.079Z",`+
			`"name":"key-%[1]d","uid":"66e844c44bab2337f20c%04[1]x"},"spec":{"expiry":"2030-01-02T03:04:05.678Z",`+
			`"user":{"firstName":"Ada","lastName":"Byron","uid":"5f3a1c2e9d8b7a6c5e4f%04[1]x"}},"status":{"isActive":true}}`, i)
	}
	return []byte(`{"items":[` + strings.Join(keys, ",") + "]}\n")
}

// respond returns the response to a request.
func respond(req *http.Request) (status int, body []byte) {
	switch {
	case req.Header.Get("ApiKey") != credential:
		return http.StatusUnauthorized, []byte("{}\n")
	case req.Method == http.MethodPost && req.URL.Path == "/v1/apiKeys":
		return http.StatusCreated, createBody
	case req.Method == http.MethodGet && req.URL.Path == "/v1/apiKeys":
		return http.StatusOK, listBody
	}
	return http.StatusNotFound, []byte("{}\n")
}

// serve is the server on the other side of a connection.
func serve(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	status, body := respond(req)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// inMemory is a transport without a network.
type inMemory struct{ unknownLength bool }

func (t inMemory) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_, _ = io.Copy(io.Discard, req.Body)
		_ = req.Body.Close()
	}
	status, body := respond(req)
	length := int64(len(body))
	if t.unknownLength {
		length = -1
	}
	return &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		ContentLength: length,
		Body:          io.NopCloser(bytes.NewReader(body)),
		Request:       req,
	}, nil
}
