package palettetest

import (
	"fmt"
	"net/http"
)

// wireError is an error reply. Palette has two kinds: the application's, whose
// code is a string, and its web framework's, whose code is a number.
type wireError struct {
	status  int
	Code    any    `json:"code"`
	Message string `json:"message"`
	Details any    `json:"details,omitempty"`
	Ref     string `json:"ref,omitempty"`
}

func (e *wireError) Error() string { return fmt.Sprintf("%d %v: %s", e.status, e.Code, e.Message) }

func appError(status int, code, format string, args ...any) *wireError {
	return &wireError{
		status:  status,
		Code:    code,
		Message: fmt.Sprintf(format, args...),
		Details: struct{}{},
		Ref:     randomHex(12),
	}
}

// Codes of failed validations, which start at 600 and go out as HTTP 422.
const (
	codeWrongType = 601
	codeRequired  = 602
)

func frameworkError(code int, format string, args ...any) *wireError {
	status := code
	if code >= 600 {
		status = http.StatusUnprocessableEntity
	}
	return &wireError{status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func errType(field, want, got string) *wireError {
	return frameworkError(codeWrongType, "%s in body must be of type %s: %q", field, want, got)
}

func errInvalid(format string, args ...any) *wireError {
	return appError(http.StatusBadRequest, "InvalidRequest", format, args...)
}

func errForbidden(code, operation string) *wireError {
	return appError(http.StatusForbidden, code,
		"Operation '%s' is forbidden. Verify the user has '%s' permission", operation, operation)
}
