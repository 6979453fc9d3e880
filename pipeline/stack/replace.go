package stack

import (
	"slices"

	"go.yaml.in/yaml/v4"
)

// takeOver lets what a later file says of a setting stand alone where it cannot be
// joined with what an earlier one says. compose-go knows that of Compose's own keys;
// of ours it would append one command to the other, or refuse a time instead of a
// mapping.
func (l *loading) takeOver(sources []*source) {
	for _, keys := range [][]string{{"release", "command"}, {"guard"}, {"preview"}} {
		last, said := len(keys)-1, false
		for _, s := range slices.Backward(sources) {
			for i, doc := range slices.Backward(s.docs) {
				value, ok := underExtension(doc, keys...)
				switch {
				case !ok:
				case said:
					s.docs[i], s.changed = l.copyOf(doc, s.path), true
					above, _ := underExtension(s.docs[i], keys[:last]...)
					drop(above, keys[last])
				default:
					said = !isNull(value) && value.Tag != resetTag && (value.Kind != yaml.MappingNode || last > 0)
				}
			}
		}
	}
}

// underExtension is what a document says below x-swingbridge.
func underExtension(doc *yaml.Node, keys ...string) (*yaml.Node, bool) {
	p, ok := lookup(doc, "x-swingbridge")
	for _, key := range keys {
		if ok {
			p, ok = lookup(p.value, key)
		}
	}
	return p.value, ok
}
