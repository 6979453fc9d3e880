package api

import (
	_ "embed"
	"net/http"
)

//go:embed openapi.json
var description string

// Description is the OpenAPI description of every call, as JSON.
func Description() []byte { return []byte(description) }

// OpenAPI is GET /openapi.json.
func (a *API) OpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(Description()) // the client may be gone: nobody is left to tell
}
