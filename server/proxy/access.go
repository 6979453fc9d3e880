package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/DeRuina/timberjack"
)

const (
	accessFolder  = "access"
	accessSize    = 16 // MiB of one file
	accessFiles   = 4  // full ones that are kept for each app
	accessWaiting = 4096
	accessBuffer  = 32 << 10 // bytes
	accessFlush   = time.Second
	accessIdle    = time.Minute // after which an app's file is closed
)

// accessRecord is a line of the access log. It has no query, no cookie and no
// other header but the user agent: that is where secrets are.
type accessRecord struct {
	Time       time.Time `json:"time"` // when the request came
	ID         string    `json:"id"`   // X-Request-Id
	Client     string    `json:"client"`
	Method     string    `json:"method"`
	Host       string    `json:"host"`
	Path       string    `json:"path"`
	Protocol   string    `json:"protocol"`
	Status     int       `json:"status"`               // 0: the visitor got none
	Bytes      int64     `json:"bytes"`                // of the answer's body, as sent
	Duration   float64   `json:"duration"`             // seconds
	FirstByte  float64   `json:"first_byte,omitempty"` // seconds until the answer began
	Commit     string    `json:"commit,omitempty"`
	Deployment string    `json:"deployment,omitempty"`
	Color      string    `json:"color,omitempty"`
	Target     string    `json:"target,omitempty"` // none: answered by the proxy
	UserAgent  string    `json:"user_agent,omitempty"`

	app string
}

// accessLog writes a file of JSON lines for each app. Requests hand their line
// over and go on: where the disk is slower than they are, lines are dropped.
type accessLog struct {
	folder  string
	size    int // MiB
	log     *slog.Logger
	records chan accessRecord
	dropped atomic.Uint64
	ending  chan struct{}
	ended   chan struct{}
	files   map[string]*accessFile // used by run alone
}

// accessFile is an app's.
type accessFile struct {
	buffer bytes.Buffer
	out    io.WriteCloser
	used   time.Time
	failed bool // said so
}

// newAccessLog begins to write; end it with close.
func newAccessLog(folder string, size int, log *slog.Logger) (*accessLog, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of access logs: %w", err)
	}
	l := &accessLog{
		folder: folder, size: size, log: log, files: map[string]*accessFile{},
		records: make(chan accessRecord, accessWaiting), ending: make(chan struct{}), ended: make(chan struct{}),
	}
	go l.run()
	return l, nil
}

// put never waits.
func (l *accessLog) put(r accessRecord) {
	select {
	case l.records <- r:
	default:
		l.dropped.Add(1)
	}
}

// close writes what is there. What is put later is lost: requests that were
// cut off may still end.
func (l *accessLog) close() {
	if l == nil {
		return
	}
	close(l.ending)
	<-l.ended
}

func (l *accessLog) run() {
	defer close(l.ended)
	tick := time.NewTicker(accessFlush)
	defer tick.Stop()
	for {
		select {
		case r := <-l.records:
			l.write(r)
		case now := <-tick.C:
			l.flush(now)
		case <-l.ending:
			for len(l.records) > 0 {
				l.write(<-l.records)
			}
			l.flush(time.Now().Add(2 * accessIdle))
			return
		}
	}
}

func (l *accessLog) write(r accessRecord) {
	f := l.files[r.app]
	if f == nil {
		f = &accessFile{out: &timberjack.Logger{
			Filename: filepath.Join(l.folder, filepath.Base(r.app)+".log"), // the name is checked elsewhere
			MaxSize:  l.size, MaxBackups: accessFiles, FileMode: 0o600,
		}}
		l.files[r.app] = f
	}
	line, _ := json.Marshal(r) // strings and numbers
	f.buffer.Write(line)
	f.buffer.WriteByte('\n')
	f.used = time.Now()
	if f.buffer.Len() >= accessBuffer {
		l.flushFile(r.app, f)
	}
}

// flush writes what is buffered, and closes files that were not used lately.
func (l *accessLog) flush(now time.Time) {
	for app, f := range l.files {
		l.flushFile(app, f)
		if now.Sub(f.used) > accessIdle {
			if err := f.out.Close(); err != nil {
				l.log.Warn("close the access log", "app", app, "error", err)
			}
			delete(l.files, app)
		}
	}
	if n := l.dropped.Swap(0); n > 0 {
		l.log.Warn("lines of the access log were dropped: the disk is too slow", "lines", n)
	}
}

// flushFile writes whole lines, so that no file begins within one.
func (l *accessLog) flushFile(app string, f *accessFile) {
	if f.buffer.Len() == 0 {
		return
	}
	_, err := f.out.Write(f.buffer.Bytes())
	if err != nil && !f.failed {
		l.log.Warn("write the access log", "app", app, "error", err)
	}
	f.failed = err != nil
	f.buffer.Reset()
}
