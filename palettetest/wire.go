package palettetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// The bodies as they are sent. The types are not shared with any client, so that a
// mistake in a client's types shows.

// keyRequest is the body of create and update. The uid and the timestamps that the
// metadata may contain are ignored.
type keyRequest struct {
	Metadata struct {
		Annotations map[string]string `json:"annotations"`
		Labels      map[string]string `json:"labels"`
		Name        string            `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Expiry  string `json:"expiry"`
		UserUID string `json:"userUid"`
	} `json:"spec"`
}

type listResponse struct {
	Items    []keyResponse `json:"items"`
	ListMeta *listMeta     `json:"listmeta,omitempty"`
}

type listMeta struct {
	Continue string `json:"continue"`
	Count    int    `json:"count"`
	Limit    int    `json:"limit"`
	Offset   int    `json:"offset"`
}

type keyResponse struct {
	Metadata struct {
		Annotations           map[string]string `json:"annotations"`
		CreationTimestamp     string            `json:"creationTimestamp"`
		DeletionTimestamp     string            `json:"deletionTimestamp"`
		Labels                map[string]string `json:"labels,omitempty"`
		LastModifiedTimestamp string            `json:"lastModifiedTimestamp"`
		Name                  string            `json:"name"`
		UID                   string            `json:"uid"`
	} `json:"metadata"`
	Spec struct {
		Expiry string `json:"expiry"`
		User   struct {
			FirstName string `json:"firstName"`
			LastName  string `json:"lastName"`
			UID       string `json:"uid"`
		} `json:"user"`
	} `json:"spec"`
	Status *keyStatus `json:"status"`
}

type keyStatus struct {
	IsActive bool `json:"isActive,omitempty"` // the status of an inactive key is {}
}

// wireTime returns t in UTC and with the precision of the wire, so that what a client
// reads equals what is stored.
func wireTime(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// response is a response that was not sent yet.
type response struct {
	status int
	header http.Header
	body   []byte
}

func newResponse(status int, contentType, body string) *response {
	resp := &response{status: status, header: http.Header{}, body: []byte(body)}
	if contentType != "" {
		resp.header.Set("Content-Type", contentType)
	}
	return resp
}

func noContent() *response { return newResponse(http.StatusNoContent, "", "") }

func jsonResponse(status int, v any) *response {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v) // strings, numbers and maps of them cannot fail
	return newResponse(status, "application/json", body.String())
}

type errorResponse struct {
	Code    any    `json:"code"`
	Message string `json:"message"`
	Details any    `json:"details,omitempty"`
	Ref     string `json:"ref,omitempty"`
}

// appError returns an error of Palette itself, whose code is a string.
func appError(status int, code, format string, args ...any) *response {
	return jsonResponse(status, errorResponse{
		Code:    code,
		Message: fmt.Sprintf(format, args...),
		Details: struct{}{},
		Ref:     randomHex(12),
	})
}

func invalidRequest(format string, args ...any) *response {
	return appError(http.StatusBadRequest, "InvalidRequest", format, args...)
}

func forbidden(code, operation string) *response {
	return appError(http.StatusForbidden, code,
		"Operation '%s' is forbidden. Verify the user has '%s' permission", operation, operation)
}

// Codes of the web framework for invalid bodies. Codes from 600 are sent with the
// status 422.
const (
	codeWrongType = 601
	codeRequired  = 602
)

// frameworkError returns an error of Palette's web framework, whose code is a number.
func frameworkError(code int, format string, args ...any) *response {
	status := code
	if code >= 600 {
		status = http.StatusUnprocessableEntity
	}
	return jsonResponse(status, errorResponse{Code: code, Message: fmt.Sprintf(format, args...)})
}

func wrongType(field, want, got string) *response {
	return frameworkError(codeWrongType, "%s in body must be of type %s: %q", field, want, got)
}
