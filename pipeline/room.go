package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// makeRoom checks before a build that there is space for it: an engine without
// any fails halfway, and takes other containers with it. What no kept release
// needs is removed first.
func (x *run) makeRoom(ctx context.Context) error {
	if x.FreeSpace == 0 || !x.builds() {
		return nil
	}
	room, err := x.Engine.Room(ctx)
	if err != nil {
		return fmt.Errorf("look for free space: %w", err)
	}
	if room.Path == "" {
		x.say("  the free space is not known: the engine's disk cannot be seen from here")
		return nil
	}
	if room.Free >= x.FreeSpace {
		return nil
	}
	_, gone, err := x.pruneImages(ctx)
	if err != nil {
		return err
	}
	x.say("  %s of space are free: %d image(s) removed to make room", Bytes(room.Free), gone)
	if room, err = x.Engine.Room(ctx); err != nil {
		return fmt.Errorf("look for free space: %w", err)
	}
	if room.Path == "" || room.Free >= x.FreeSpace {
		return nil
	}
	return fmt.Errorf("%s are free in %s, and before a build it must be %s: free some there, as with docker system prune, "+
		"keep fewer releases (x-swingbridge.keep, SWINGBRIDGE_IMAGES_LIMIT), or ask for less with SWINGBRIDGE_FREE_SPACE",
		Bytes(room.Free), room.Path, Bytes(x.FreeSpace))
}

// builds reports whether an image of the release has to be built.
func (x *run) builds() bool {
	for _, s := range x.supplies {
		if s.build != nil && s.there == "" {
			return true
		}
	}
	return false
}

// prune removes the app's images, and files of its commits, that no kept release
// names.
func (x *run) prune(ctx context.Context) (string, error) {
	kept, gone, err := x.pruneImages(ctx)
	if err != nil {
		return "", err
	}
	if _, err := x.prunePlaced(ctx, append(kept, x.rel)); err != nil {
		return "", fmt.Errorf("prune files of commits: %w", err)
	}
	return fmt.Sprintf("%d image(s) removed, %d release(s) kept", gone, len(kept)), nil
}

// pruneImages removes what no kept release needs, nor the run's own. It returns
// the releases that can be gone back to, with the live one, and how many images
// are gone.
func (x *run) pruneImages(ctx context.Context) (kept []Release, gone int, err error) {
	kept, err = x.Ledger.KeptReleases(ctx, x.app.ID, x.rel.Stack.Keep+1) // and the live one
	if err != nil {
		return nil, 0, fmt.Errorf("list kept releases: %w", err)
	}
	if x.ImagesLimit > 0 {
		sizes, err := x.Engine.ImageSizes(ctx, x.app.ID)
		if err != nil {
			return nil, 0, fmt.Errorf("measure images: %w", err)
		}
		live := x.live.ReleaseID
		if x.dep.State == Live {
			live = x.rel.ID
		}
		kept = within(x.ImagesLimit, sizes, kept, live)
	}
	own := x.rel
	own.Images = map[string]string{}
	for _, s := range x.supplies { // what is to be used, before the release has it
		own.Images[s.services[0]] = s.there
	}
	var images []string
	for _, rel := range append(slices.Clone(kept), x.rel, own) {
		for _, id := range rel.Images {
			if id != "" {
				images = append(images, id)
			}
		}
	}
	if gone, err = x.Engine.PruneImages(ctx, x.app.ID, images); err != nil {
		return nil, 0, fmt.Errorf("prune images: %w", err)
	}
	return kept, gone, nil
}

// within leaves of the releases, newest first, those whose images fit the limit
// together. The live one stays whatever it takes, and so does the one that a
// rollback leads to, which is the newest besides it. An image counts once.
func within(limit int64, sizes map[string]int64, releases []Release, live string) []Release {
	counted := map[string]bool{}
	more := func(rel Release) (sum int64) {
		for _, id := range rel.Images {
			if !counted[id] {
				counted[id] = true
				sum += sizes[id]
			}
		}
		return sum
	}
	kept, target, taken := map[string]bool{}, false, int64(0)
	for _, rel := range releases {
		if rel.ID == live || !target {
			target = target || rel.ID != live
			kept[rel.ID] = true
			taken += more(rel)
		}
	}
	var out []Release
	full := false
	for _, rel := range releases {
		if !kept[rel.ID] {
			taken += more(rel)
			if full = full || taken > limit; full {
				continue
			}
		}
		out = append(out, rel)
	}
	return out
}

// Bytes is a size as people write it: 512 B, 1.5 GB. A unit is a thousand of the
// one before it.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), 0
	for ; f >= 999.5 && unit < len(units)-1; unit++ {
		f /= 1000
	}
	digits := 1
	if f >= 10 {
		digits = 0
	}
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', digits, 64), ".0") + " " + units[unit:unit+1] + "B"
}

const units = " kMGT"

// ParseBytes reads a size such as 500MB, 1.5GB or 20GiB. Errors wrap ErrInvalid.
func ParseBytes(text string) (int64, error) {
	number := strings.TrimSpace(strings.ToLower(text))
	base := 1000.0
	number, isByte := strings.CutSuffix(number, "b")
	if isByte {
		if cut, binary := strings.CutSuffix(number, "i"); binary {
			number, base = cut, 1024
		}
	}
	factor := 1.0
	if n := len(number); n > 0 {
		if at := strings.IndexByte("kmgt", number[n-1]); at >= 0 {
			number = number[:n-1]
			for range at + 1 {
				factor *= base
			}
		}
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(f >= 0 && f*factor <= 1<<60) {
		return 0, fmt.Errorf("%w size %q: write it as 500MB or 20GB", ErrInvalid, text)
	}
	return int64(f * factor), nil
}
