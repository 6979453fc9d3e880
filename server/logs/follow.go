package logs

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"unicode/utf8"
)

// chunkSize is the most that one Chunk holds, in bytes.
const chunkSize = 64 << 10

// Chunk is a part of a log as it is followed.
type Chunk struct {
	Data   []byte
	Offset int64 // right after Data: where to go on
}

// Follow yields the log from offset on, waits for more, and ends when the log
// was finished and all of it was yielded. The one error it may yield, as its
// last element, is that of ctx or of reading. A log that is not there yet is
// waited for. No chunk ends within a character, unless the log does.
func (d *Dir) Follow(ctx context.Context, deployment string, offset int64) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		if err := checkName(deployment); err != nil {
			yield(Chunk{}, err)
			return
		}
		f := d.acquire(deployment)
		defer d.release(deployment, f)
		r := &follower{dir: d, deployment: deployment, offset: max(0, offset)}
		defer r.close()
		for {
			changed := f.change()
			data, over, err := r.next()
			switch {
			case err != nil:
				yield(Chunk{}, err)
				return
			case len(data) > 0:
				if !yield(Chunk{Data: data, Offset: r.offset}, nil) {
					return
				}
				continue
			case over:
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				yield(Chunk{}, ctx.Err())
				return
			}
		}
	}
}

// follower is one reader's place in a log.
type follower struct {
	dir        *Dir
	deployment string
	file       *os.File // nil until the log is there
	offset     int64
}

// next returns what there is; over says that nothing will follow.
func (r *follower) next() (data []byte, over bool, err error) {
	data, err = r.read()
	if err != nil {
		return nil, false, err
	}
	if whole := wholeRunes(data); len(whole) > 0 {
		r.offset += int64(len(whole))
		return whole, false, nil
	}
	// Only now: what was written before the end mark is there to be read.
	if over, err = r.dir.Finished(r.deployment); err != nil || !over {
		return nil, false, err
	}
	if data, err = r.read(); err != nil {
		return nil, false, err
	}
	if whole := wholeRunes(data); len(whole) > 0 {
		data = whole
	}
	r.offset += int64(len(data))
	return data, true, nil
}

func (r *follower) read() ([]byte, error) {
	if r.file == nil {
		file, err := os.Open(r.dir.name(r.deployment, ".log"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		r.file = file
	}
	return readAt(r.file, r.offset, chunkSize)
}

func (r *follower) close() {
	if r.file != nil {
		r.file.Close() // it was only read
	}
}

// wholeRunes cuts a character at the end that is not complete.
func wholeRunes(p []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(p); i++ {
		if tail := p[len(p)-i:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return p
			}
			return p[:len(p)-i]
		}
	}
	return p
}
