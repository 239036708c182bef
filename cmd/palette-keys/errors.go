package main

import (
	"errors"
	"fmt"
	"strings"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/internal/kube"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

// usageError is an error of the command line or the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func isUsage(err error) bool {
	return errors.As(err, new(usageError)) || errors.Is(err, palette.ErrInvalidArgument)
}

// kinds are the names of classes in JSON. help.txt lists them all.
var kinds = []struct {
	class error
	name  string
}{
	{rotation.ErrReverted, "reverted"},
	{palette.ErrUnauthorized, "unauthorized"},
	{palette.ErrForbidden, "forbidden"},
	{palette.ErrNotFound, "not_found"},
	{palette.ErrConflict, "conflict"},
	{palette.ErrBadRequest, "bad_request"},
	{palette.ErrRateLimited, "rate_limited"},
	{palette.ErrServer, "server"},
	{palette.ErrRedirect, "redirect"},
	{palette.ErrUnexpectedResponse, "unexpected_response"},
}

// kindOf returns the class of an error. If a key may exist, that matters most.
func kindOf(err error, interrupted bool) string {
	switch {
	case errors.Is(err, palette.ErrOutcomeUnknown), errors.Is(err, kube.ErrOutcomeUnknown):
		return "outcome_unknown"
	case interrupted:
		return "interrupted"
	case isUsage(err):
		return "usage"
	}
	for _, kind := range kinds {
		if errors.Is(err, kind.class) {
			return kind.name
		}
	}
	if strings.Contains(err.Error(), "palette: apiKeys.") { // of a call: there was no response
		return "network"
	}
	return "failure"
}
