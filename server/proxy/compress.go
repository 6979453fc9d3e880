package proxy

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/encode"
)

// compressModule hands requests to Caddy's encode handler, unless the app wants
// its answers as they are.
//
// That handler leaves alone what is compressed already, small, partial (status
// 206), marked no-transform, or no text by its content type; it sends on at
// once what the app flushes, keeps ETags of the variants apart and sets Vary.
type compressModule struct {
	Encode json.RawMessage `json:"encode" caddy:"namespace=http.handlers inline_key=handler"`

	encode caddyhttp.MiddlewareHandler
}

func (compressModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.swingbridge_compress", New: func() caddy.Module { return new(compressModule) }}
}

// Provision loads the handler.
func (m *compressModule) Provision(ctx caddy.Context) error {
	loaded, err := ctx.LoadModule(m, "Encode")
	if err != nil {
		return fmt.Errorf("load the encode handler: %w", err)
	}
	m.encode = loaded.(caddyhttp.MiddlewareHandler)
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (m *compressModule) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	v, ok := caddyhttp.GetVar(r.Context(), visitKey).(*visit)
	if !ok || v.route.entry.Front.NoCompression || len(r.Header["Upgrade"]) > 0 {
		return next.ServeHTTP(w, r)
	}
	return m.encode.ServeHTTP(w, r, next)
}

// compress is the module's configuration. Event streams are not in the list: a
// compressor keeps the events until it is told to let go, and clients that have
// trouble with that are many.
func compress() object {
	return object{
		"handler": "swingbridge_compress",
		"encode": object{
			"handler":        "encode",
			"encodings":      object{"zstd": object{}, "swingbridge_gzip": object{}},
			"prefer":         list{"zstd", "gzip"},
			"minimum_length": compressFrom,
			"match": object{"headers": object{"Content-Type": list{
				"text/html*", "text/css*", "text/plain*", "text/javascript*", "text/xml*", "text/csv*", "text/markdown*",
				"text/calendar*", "text/vcard*", "text/vtt*", "text/x-component*",
				"application/json*", "application/ld+json*", "application/geo+json*", "application/manifest+json*",
				"application/problem+json*", "application/vnd.api+json*", "application/graphql-response+json*",
				"application/javascript*", "application/x-javascript*", "application/xml*", "application/xhtml+xml*",
				"application/atom+xml*", "application/rss+xml*", "application/wasm*", "application/x-ndjson*",
				"font/ttf*", "font/otf*", "application/vnd.ms-fontobject*",
				"image/svg+xml*", "image/x-icon*", "image/vnd.microsoft.icon*", "image/bmp*",
			}}},
		},
	}
}

// compressFrom is the least length of an answer, in bytes, that is worth it.
const compressFrom = 512

// gzipModule is the standard library's gzip. Caddy's is faster and makes the
// program larger; whoever is in a hurry takes zstd.
type gzipModule struct{}

func (gzipModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.encoders.swingbridge_gzip", New: func() caddy.Module { return new(gzipModule) }}
}

// AcceptEncoding implements encode.Encoding.
func (gzipModule) AcceptEncoding() string { return "gzip" }

// NewEncoder implements encode.Encoding.
func (gzipModule) NewEncoder() encode.Encoder {
	w, _ := gzip.NewWriterLevel(nil, gzipLevel) // it is a level
	return w
}

const gzipLevel = 5

var (
	_ encode.Encoding             = (*gzipModule)(nil)
	_ caddyhttp.MiddlewareHandler = (*compressModule)(nil)
	_ caddy.Provisioner           = (*compressModule)(nil)
)
