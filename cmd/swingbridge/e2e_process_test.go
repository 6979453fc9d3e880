package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is a server in a process of its own.
type process struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed once it is gone
}

// spawn starts a command with the site's settings; what it says is appended to
// a file of the site.
func (s *site) spawn(command ...string) *process {
	s.t.Helper()
	said, err := os.OpenFile(filepath.Join(s.dir, strings.Join(command, "-")+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.environ(), s.dir, said, said
	// A test run that is killed takes its servers with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("start %s: %v", command, err)
	}
	p := &process{name: strings.Join(command, " "), cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // ProcessState says how it ended
		_ = said.Close()
	}()
	return p
}

// environ is the site's settings and what else a process needs.
func (s *site) environ() []string {
	env := []string{"PATH=" + os.Getenv("PATH")}
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, "DOCKER_") || strings.HasPrefix(kv, "GOCOVERDIR=") {
			env = append(env, kv)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.env)) {
		env = append(env, name+"="+s.env[name])
	}
	return env
}

func (p *process) runs() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *process) mustRun(t *testing.T) {
	t.Helper()
	if !p.runs() {
		t.Fatalf("%s ended: %s", p.name, p.cmd.ProcessState)
	}
}

// kill ends the process as a power failure would.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatalf("kill %s: %v", p.name, err)
	}
	<-p.ended
}

func (p *process) stop(t *testing.T, gentle bool) {
	t.Helper()
	if gentle {
		p.terminate(t)
	} else {
		p.kill(t)
	}
}

// grace is how long a server may take to end after SIGTERM, see the contract.
const grace = 30 * time.Second

// terminate asks the process to end and fails the test if that takes too long
// or does not end well.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("end %s: %v", p.name, err)
	}
	begun, limit := time.Now(), time.NewTimer(grace)
	defer limit.Stop()
	select {
	case <-p.ended:
	case <-limit.C:
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines, for the log
		<-p.ended
		t.Errorf("%s did not end within %s after SIGTERM", p.name, grace)
		return
	}
	t.Logf("%s ended %s after SIGTERM", p.name, time.Since(begun).Round(time.Millisecond))
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("%s ended with %s after SIGTERM", p.name, p.cmd.ProcessState)
	}
}

// logs are what the site's processes said, by file name.
func (s *site) logs() map[string]string {
	out := map[string]string{}
	files, err := filepath.Glob(filepath.Join(s.dir, "*.log"))
	if err != nil {
		s.t.Errorf("find logs: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			s.t.Errorf("read log: %v", err)
		}
		out[filepath.Base(file)] = string(text)
	}
	return out
}

// checkLogs looks for what no log may have, and shows the logs of a test that
// failed.
func (s *site) checkLogs() {
	for name, text := range s.logs() {
		for _, never := range []string{"WARNING: DATA RACE", "panic:", "fatal error:", s.token, s.secret, "BEGIN RSA PRIVATE KEY"} {
			if at := strings.Index(text, never); at >= 0 {
				s.t.Errorf("%s has %q:\n%s", name, never, text[at:min(len(text), at+6000)])
			}
		}
		if s.t.Failed() {
			s.t.Logf("%s:\n%s", name, without(text, " msg=request "))
		}
	}
}

// without is the text without the lines that have a part, and its end only.
func without(text, part string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains(line, part) {
			b.WriteString(line)
		}
	}
	return b.String()[max(0, b.Len()-20_000):]
}
