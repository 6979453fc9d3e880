package server_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/auth"
)

// files holds logs that grow.
type files struct {
	mu    sync.Mutex
	texts map[string][]byte
	done  map[string]bool
	grown chan struct{} // closed and replaced at each change
	// piece says how many of n bytes a follower gets at once.
	piece func(n int) int
}

func (f *files) change(id string, text string, done bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.texts[id] = append(f.texts[id], text...)
	f.done[id] = done
	close(f.grown)
	f.grown = make(chan struct{})
}

func (f *files) Size(id string) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if text, ok := f.texts[id]; ok {
		return int64(len(text)), nil
	}
	return 0, fs.ErrNotExist
}

func (f *files) ReadAt(id string, offset int64, limit int) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := f.texts[id]
	if offset >= int64(len(text)) {
		return nil, io.EOF
	}
	return bytes.Clone(text[offset:min(int64(len(text)), offset+int64(limit))]), nil
}

// chunk is a type of another package than api's, as the real one is.
type chunk struct {
	Data   []byte
	Offset int64
}

func (f *files) Follow(ctx context.Context, id string, offset int64) iter.Seq2[chunk, error] {
	return func(yield func(chunk, error) bool) {
		for ctx.Err() == nil {
			f.mu.Lock()
			rest, done, grown := f.texts[id][min(offset, int64(len(f.texts[id]))):], f.done[id], f.grown
			if len(rest) > 0 && f.piece != nil {
				rest = rest[:f.piece(len(rest))]
			}
			rest = bytes.Clone(rest)
			f.mu.Unlock()
			if len(rest) > 0 {
				offset += int64(len(rest))
				if !yield(chunk{rest, offset}, nil) {
					return
				}
				continue
			}
			if done {
				return
			}
			select {
			case <-grown:
			case <-ctx.Done():
			}
		}
	}
}

// bus tells everyone who listens.
type bus struct {
	mu   sync.Mutex
	last uint64
	ears map[chan event]bool
	deaf bool // every subscription ends at once, as a slow reader's
}

type event struct {
	ID         uint64
	Kind       string
	App        string
	Deployment string
	State      string
	At         time.Time
}

func (b *bus) Subscribe(ctx context.Context) <-chan event {
	b.mu.Lock()
	defer b.mu.Unlock()
	ear := make(chan event, 16)
	if b.deaf {
		close(ear)
		return ear
	}
	b.ears[ear] = true
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.ears, ear)
		close(ear)
	})
	return ear
}

func (b *bus) publish(e event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	e.ID = b.last
	for ear := range b.ears {
		ear <- e
	}
}

// doors knows four tokens, which are sessions as well.
type doors struct{}

func (doors) Identify(r *http.Request) (pipeline.Actor, error) {
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if cookie, err := r.Cookie("swingbridge_session"); err == nil && !isBearer {
		token = cookie.Value
	}
	switch token {
	case "viewer", "deployer", "admin":
		return pipeline.Actor{Name: "token-" + token, From: r.RemoteAddr, Role: pipeline.Role(token)}, nil
	case "later":
		return pipeline.Actor{}, errDown
	}
	return pipeline.Actor{}, auth.ErrUnauthorized
}

var (
	_ api.Store    = (*memory)(nil)
	_ api.Commands = (*memory)(nil)
	_ api.LogFiles = (*files)(nil)
)
