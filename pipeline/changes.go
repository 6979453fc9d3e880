package pipeline

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// changesOf names what of a kept service's container is different, in the words
// of the files. Values are left out: they may be secret.
func changesOf(was, now ContainerOrder) []string {
	var out []string
	if was.Image != now.Image {
		out = append(out, "image")
	}
	old, next := fieldsOf(ofContainer(was.Service)), fieldsOf(ofContainer(now.Service))
	for _, key := range different(old, next) {
		switch key {
		case "env":
			out = append(out, "environment ("+list(different(valuesOf(was.Service), valuesOf(now.Service)))+")")
		case "settings", "rights", "limits":
			out = append(out, different(inside(old[key]), inside(next[key]))...)
		default:
			out = append(out, wordOf(key))
		}
	}
	return out
}

// wordOf is what compose files call a field of stack.Service.
func wordOf(field string) string {
	word, ok := map[string]string{
		"mounts": "volumes", "health": "healthcheck", "stop_grace": "stop_grace_period", "log": "logging", "files": "configs or secrets",
	}[field]
	if !ok {
		return field
	}
	return word
}

// fieldsOf are the fields of a value by their names in JSON.
func fieldsOf(v any) map[string]json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil // fingerprintOf says so
	}
	return inside(raw)
}

func inside(raw json.RawMessage) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	if json.Unmarshal(raw, &out) != nil {
		return nil
	}
	return out
}

func valuesOf(svc stack.Service) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for name, value := range svc.Env {
		out[name] = json.RawMessage(value)
	}
	return out
}

// different are the names that do not have the same value in both, sorted.
func different(a, b map[string]json.RawMessage) []string {
	names := map[string]bool{}
	for _, m := range []map[string]json.RawMessage{a, b} {
		for name := range m {
			names[name] = true
		}
	}
	maps.DeleteFunc(names, func(name string, _ bool) bool {
		x, inA := a[name]
		y, inB := b[name]
		return inA == inB && bytes.Equal(x, y)
	})
	return slices.Sorted(maps.Keys(names))
}
