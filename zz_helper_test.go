package palette_test

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// printed returns v as programs print it, and for an error also the errors that it wraps.
func printed(v any) string {
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("", "value", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("", "value", v)
	switch wrapper := v.(type) {
	case interface{ Unwrap() error }:
		b.WriteString(printed(wrapper.Unwrap()))
	case interface{ Unwrap() []error }:
		for _, err := range wrapper.Unwrap() {
			b.WriteString(printed(err))
		}
	}
	return b.String()
}

// requireUnreachable requires that no string or byte slice that can be reached from v by
// reflection, also through pointers and unexported fields, contains value.
func requireUnreachable(t *testing.T, value string, v any) {
	t.Helper()
	seen := map[any]bool{}
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			assert.NotContains(t, v.String(), value, path)
		case reflect.Interface:
			walk(path, v.Elem())
		case reflect.Pointer:
			if key := [2]any{v.Pointer(), v.Type()}; !seen[key] {
				seen[key] = true
				walk(path, v.Elem())
			}
		case reflect.Struct:
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Map:
			for _, key := range v.MapKeys() {
				walk(path+"[key]", key)
				walk(path+"[]", v.MapIndex(key))
			}
		case reflect.Slice, reflect.Array:
			if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
				assert.NotContains(t, string(v.Bytes()), value, path)
				return
			}
			for i := range v.Len() {
				walk(path+"[]", v.Index(i))
			}
		}
	}
	walk(fmt.Sprintf("%T", v), reflect.ValueOf(v))
}
