package proxy

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// family is a line of proxy processes on one data folder, each of which takes
// over from the one before.
type family struct {
	t       *testing.T
	dir     string
	socket  string
	client  *Client
	address string
	newest  *relative
}

// relative is one of the processes.
type relative struct {
	cmd  *exec.Cmd
	gone chan struct{} // closed once it has ended
	says chan string   // a line for each step that it stopped at, else where it listens
}

func newFamily(t *testing.T) *family {
	f := &family{t: t, dir: t.TempDir(), socket: socketPath(t)}
	f.client = NewClient(f.socket)
	t.Cleanup(f.client.Close)
	f.newest = f.born("")
	f.address = <-f.newest.says
	f.await(f.newest)
	return f
}

// born starts a process that takes over, and dies at a step if one is named.
func (f *family) born(dies string) *relative {
	f.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childFolder+"="+f.dir, "SWINGBRIDGE_TEST_SOCKET="+f.socket, "SWINGBRIDGE_TEST_TAKE_OVER=1", "SWINGBRIDGE_TEST_DIES="+dies)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	r := &relative{cmd: cmd, gone: make(chan struct{}), says: make(chan string, 10)}
	go func() {
		defer close(r.gone)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			r.says <- lines.Text()
		}
		close(r.says)
		_ = cmd.Wait() // ProcessState says how it ended
	}()
	f.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-r.gone
		if f.t.Failed() || strings.Contains(errors.String(), "DATA RACE") {
			f.t.Errorf("process %d said:\n%s", cmd.Process.Pid, errors.String())
		}
	})
	return r
}

// await waits until the process answers on the control socket.
func (f *family) await(r *relative) {
	f.t.Helper()
	until(f.t, "the control socket to be its own", func() bool {
		h, err := f.client.Health(f.t.Context())
		return err == nil && h.Ready && h.PID == r.cmd.Process.Pid
	})
}

// takeOver has a new process take over, and returns the one before.
func (f *family) takeOver() *relative {
	f.t.Helper()
	before := f.newest
	f.newest = f.born("")
	f.await(f.newest)
	return before
}
