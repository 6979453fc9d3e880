package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// takeOverProtocol is what a take-over asks for in the header Upgrade. Fields
// may be added to a message under the same number, since unknown ones are
// ignored; anything else needs a new one.
const takeOverProtocol = "swingbridge-take-over/1"

// The steps of a take-over, in their order. Up to stepTaken the process that
// serves goes on as if nothing had happened should the other one die or be
// silent; from stepOffer on the new one goes on should the old one die.
//
//	new  stepAsk
//	old  stepOffer     table changes wait; with it go lock and listeners
//	new  stepReady     Caddy is up, nothing is accepted yet
//	old  stepYours
//	new  stepTaken     it accepts; the old one stops accepting
//	old  stepInflight  what is still open there, at each change
//	old  stepQuiet     it routes no new request; table changes go on, in the new one
//	old  stepInflight  until it is gone
//	new  stepStreams   at any time after stepTaken
const (
	stepAsk      = "ask"
	stepOffer    = "offer"
	stepReady    = "ready"
	stepYours    = "yours"
	stepTaken    = "taken"
	stepInflight = "inflight"
	stepQuiet    = "quiet"
	stepStreams  = "end_streams" // as EndStreams: the deployment's streams are to end there too
	stepAborted  = "aborted"     // in the place of any step of the old one: it goes on serving
)

// message is one line of JSON between the two processes.
type message struct {
	Step      string         `json:"step"`
	Seq       uint64         `json:"seq,omitempty"`       // offer: of the last table change
	Listeners []passed       `json:"listeners,omitempty"` // offer: in the order of their descriptors, which follow the lock's
	Inflight  map[string]int `json:"inflight,omitempty"`  // yours, inflight, quiet: by deployment
	Why       string         `json:"why,omitempty"`       // aborted

	Deployment string    `json:"deployment,omitempty"` // end_streams
	By         time.Time `json:"by,omitzero"`          // end_streams
}

// passed is a public listener that is handed over.
type passed struct {
	Name    string `json:"name"`    // http or https
	Address string `json:"address"` // as it is in the settings
}

// errAborted is wrapped where the old process goes on after all.
var errAborted = errors.New("the running proxy broke off the take-over")

const (
	maxMessage = 16 << 10 // bytes of one that comes with descriptors
	maxPassed  = 8        // descriptors
)

// wire is the connection between the two processes.
type wire struct {
	conn *net.UnixConn
	in   *json.Decoder
	mu   sync.Mutex // one message is written at a time
}

func newWire(conn *net.UnixConn) *wire { return &wire{conn: conn, in: json.NewDecoder(conn)} }

// send writes a message, and with it the descriptors of files (SCM_RIGHTS, see
// unix(7)): the receiver has the same open files, not copies of them.
func (w *wire) send(m message, files ...syscall.Conn) error {
	line, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode step %s: %w", m.Step, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return withDescriptors(files, nil, func(fds []int) error {
		var rights []byte
		if len(fds) > 0 {
			rights = syscall.UnixRights(fds...)
		}
		if _, _, err := w.conn.WriteMsgUnix(append(line, '\n'), rights, nil); err != nil {
			return fmt.Errorf("send step %s: %w", m.Step, err)
		}
		return nil
	})
}

// withDescriptors calls do while none of the files can be closed. File() of a
// listener would do too, but its descriptor turns the listener blocking.
func withDescriptors(files []syscall.Conn, fds []int, do func(fds []int) error) error {
	if len(files) == 0 {
		return do(fds)
	}
	raw, err := files[0].SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = withDescriptors(files[1:], append(fds, int(fd)), do) })
	return errors.Join(err, inner)
}

// receive reads the next message, which must be of one of the steps.
func (w *wire) receive(steps ...string) (message, error) {
	var m message
	if err := w.in.Decode(&m); err != nil {
		return m, fmt.Errorf("wait for step %s: %w", steps[0], err)
	}
	return m, m.expect(steps...)
}

func (m message) expect(steps ...string) error {
	for _, step := range steps {
		if m.Step == step {
			return nil
		}
	}
	if m.Step == stepAborted {
		return fmt.Errorf("%w: %s", errAborted, m.Why)
	}
	return fmt.Errorf("step %q came instead of %s", m.Step, steps[0])
}

// receiveFiles reads a message and the descriptors that come with it. Nothing
// may have been read ahead of it: a plain read would lose them.
func (w *wire) receiveFiles(step string) (m message, files []*os.File, err error) {
	line, rights := make([]byte, maxMessage), make([]byte, syscall.CmsgSpace(4*maxPassed))
	n, more, _, _, err := w.conn.ReadMsgUnix(line, rights) // sets close-on-exec
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return m, nil, fmt.Errorf("wait for step %s: %w", step, err)
	}
	control, err := syscall.ParseSocketControlMessage(rights[:more])
	if err != nil {
		return m, nil, fmt.Errorf("read descriptors: %w", err)
	}
	for _, c := range control {
		fds, err := syscall.ParseUnixRights(&c)
		if err != nil {
			return m, files, fmt.Errorf("read descriptors: %w", err)
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), step))
		}
	}
	if err := json.Unmarshal(line[:n], &m); err != nil {
		return m, files, fmt.Errorf("read step %s: %w", step, err)
	}
	return m, files, m.expect(step)
}

// limit bounds all that is read and written from now on; 0 is without a bound.
func (w *wire) limit(d time.Duration) error {
	if d == 0 {
		return w.conn.SetDeadline(time.Time{})
	}
	return w.conn.SetDeadline(time.Now().Add(d))
}

// tell sends a message that nobody answers, within a second.
func (w *wire) tell(m message) error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	return w.send(m)
}

func (w *wire) close() error { return w.conn.Close() }
