package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var staticFiles embed.FS

// assets are the static files under names that change with their content, so
// that browsers may keep them for good.
type assets struct {
	hashed map[string]string // file to its path on the server
	files  map[string]asset  // that path to what is there
}

type asset struct {
	kind string // media type
	data []byte
}

func loadAssets() (assets, error) {
	out := assets{hashed: map[string]string{}, files: map[string]asset{}}
	kinds := map[string]string{
		".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}
	entries, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		return assets{}, fmt.Errorf("read static files: %w", err)
	}
	for _, e := range entries {
		data, err := fs.ReadFile(staticFiles, "static/"+e.Name())
		if err != nil {
			return assets{}, fmt.Errorf("read static files: %w", err)
		}
		ext := path.Ext(e.Name())
		sum := sha256.Sum256(data)
		at := "/static/" + strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
		out.hashed[e.Name()], out.files[at] = at, asset{kind: kinds[ext], data: data}
	}
	return out, nil
}

// path is where a static file is served; an error in templates that name none.
func (a assets) path(name string) (string, error) {
	at, ok := a.hashed[name]
	if !ok {
		return "", fmt.Errorf("no static file %q", name)
	}
	return at, nil
}

// Static is GET /static/…
func (s *Web) Static(w http.ResponseWriter, r *http.Request) {
	file, ok := s.assets.files[r.URL.Path]
	if !ok {
		http.Error(w, "There is no such file.", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", file.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(file.data) // a browser that is gone is not told
}
