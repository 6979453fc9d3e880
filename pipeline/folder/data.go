package folder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Data implements pipeline.Folders. A folder that is made here may be written by
// every user of the containers that get it: which users there are is known to
// the image alone, and on the host nobody else comes past the app's own folder.
// A file that an operator put in its place is as good.
//
// A path that lies in another one's folder, or the other way round, is refused
// for good, also where an earlier deployment had the other one: its containers
// could have put a link on the way.
func (f *Folders) Data(ctx context.Context, appID, name string) (string, error) {
	clean, err := cleanPath(name)
	if err != nil {
		return "", err
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	app, done, err := f.open(appID)
	if err != nil {
		return "", err
	}
	defer done()
	if err := claim(app, clean); err != nil {
		return "", fmt.Errorf("data folder %s: %w", name, err)
	}
	if err := makeData(app, path.Join(dataDir, clean)); err != nil {
		return "", fmt.Errorf("make data folder %s: %w", name, err)
	}
	return f.at(appID, dataDir, clean), nil
}

// makeData makes the folder and those above it. Only the last one is ever given
// to a container; those on the way are the server's alone.
func makeData(app *os.Root, name string) error {
	parts := strings.Split(name, "/")
	for i := range parts[:len(parts)-1] {
		if err := makeDir(app, path.Join(parts[:i+1]...), 0o700); err != nil {
			return err
		}
	}
	if info, err := app.Lstat(name); err == nil && info.Mode().IsRegular() {
		return nil
	}
	return makeDir(app, name, 0o777)
}

// claim writes down, before it is made, that containers get this folder.
func claim(app *os.Root, name string) error {
	given, err := claimed(app)
	if err != nil || slices.Contains(given, name) {
		return err
	}
	for _, other := range given {
		outer, inner := name, other
		if len(outer) > len(inner) {
			outer, inner = inner, outer
		}
		if strings.HasPrefix(inner, outer+"/") {
			return fmt.Errorf("%w: %s and %s are both mounted, or were once, and one lies in the other: "+
				"containers may have put a link on the way. Mount %s and use what is in it, or give the other one a path elsewhere",
				pipeline.ErrInvalid, outer, inner, outer)
		}
	}
	raw, err := json.Marshal(append(given, name))
	if err != nil {
		return err
	}
	return replaceFile(app, dataList, raw)
}

// claimed lists the paths that containers have been given.
func claimed(app *os.Root) ([]string, error) {
	raw, err := app.ReadFile(dataList)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var given []string
	if err := json.Unmarshal(raw, &given); err != nil {
		return nil, fmt.Errorf("read %s: %w", dataList, err)
	}
	return given, nil
}

// replaceFile writes a file so that either the old or the new one is there.
func replaceFile(root *os.Root, name string, content []byte) error {
	temp := name + ".new"
	file, err := root.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := root.Rename(temp, name); err != nil {
		return err
	}
	return sync1(root, ".")
}

// cleanPath accepts a path inside of a folder.
func cleanPath(name string) (string, error) {
	clean := path.Clean(name)
	bad := name == "" || clean == "." || len(clean) > 1024 || !fs.ValidPath(clean) || strings.Contains(clean, `\`) ||
		strings.ContainsFunc(clean, unicode.IsControl)
	for part := range strings.SplitSeq(clean, "/") {
		bad = bad || len(part) > 255
	}
	if bad {
		return "", fmt.Errorf("%w path %q: want one inside of the app's folder", pipeline.ErrInvalid, name)
	}
	return clean, nil
}
