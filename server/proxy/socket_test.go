package proxy

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// torrent is a target that sends frames of all sizes until it is told to end,
// and notes with which code it was.
func torrent(t *testing.T) (addr netip.AddrPort, left chan int) {
	left = make(chan int, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			for {
				opcode, payload, err := readFrame(rw.Reader)
				switch {
				case err != nil:
					t.Errorf("the target reads: %v", err)
					left <- 0
					return
				case opcode == opClose:
					left <- int(binary.BigEndian.Uint16(payload))
					return
				}
			}
		}()
		for n := 1; ; n = n*3%80_021 + 1 {
			select {
			case <-closed:
				_, _ = c.Write(farewellFrame(false))
				return
			default:
			}
			if _, err := c.Write(frameOf(2, false, make([]byte, n))); err != nil {
				<-closed
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String()), left
}

// openSocket opens a WebSocket by hand.
func openSocket(t *testing.T, p *Proxy, host string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := dial(t.Context(), p.http.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", host)
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v %v", resp, err)
	}
	return c, in
}

func TestEndStreams_NeverTearsAFrame(t *testing.T) {
	t.Parallel()
	p := setup(t)
	for round := range 10 {
		addr, left := torrent(t)
		e := entryOf("a", "a.example")
		e.Deployment, e.Paths[0].Targets = fmt.Sprint("d", round), []netip.AddrPort{addr}
		swing(t, p, e)
		c, in := openSocket(t, p, "a.example")
		sending := make(chan error, 1) // the visitor sends large frames meanwhile, in pieces
		var stop atomic.Bool
		go func() {
			frame := frameOf(2, true, make([]byte, 30_000))
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for !stop.Load() {
				for piece := range 10 {
					<-tick.C
					if _, err := c.Write(frame[piece*len(frame)/10 : (piece+1)*len(frame)/10]); err != nil {
						sending <- err
						return
					}
				}
			}
			_, err := c.Write(frameOf(opClose, true, []byte{goingAway >> 8, goingAway & 0xff}))
			sending <- err
		}()
		for n, asked := 0, false; ; n++ {
			opcode, payload, err := readFrame(in)
			if err != nil {
				t.Fatalf("round %d, after %d frames: %v", round, n, err)
			}
			if opcode == opClose {
				if len(payload) != 2 || binary.BigEndian.Uint16(payload) != goingAway {
					t.Errorf("round %d: closed with %v", round, payload)
				}
				break
			}
			if n > 3+round && !asked {
				asked = true
				if got, err := p.EndStreams(t.Context(), e.Deployment, time.Now()); err != nil || got != 1 {
					t.Errorf("round %d: %d streams, %v", round, got, err)
				}
			}
		}
		stop.Store(true)
		if err := <-sending; err != nil {
			t.Errorf("round %d: the visitor's goodbye: %v", round, err)
		}
		if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
			t.Errorf("round %d: after the close frame: %d bytes, %v", round, len(rest), err)
		}
		if code := <-left; code != goingAway {
			t.Errorf("round %d: the target was left with %d", round, code)
		}
		until(t, "nothing in flight", func() bool { return inflight(t, p, e.Deployment) == 0 })
	}
}

func TestEndStreams_DoesNotWaitForAVisitorWhoSaysNothing(t *testing.T) {
	t.Parallel()
	p := setup(t)
	swing(t, p, entryOf("a", "a.example", newBackend(t, "d1")))
	_, in := openSocket(t, p, "a.example")
	if _, err := p.EndStreams(t.Context(), "d1", time.Now()); err != nil {
		t.Fatal(err)
	}
	if opcode, _, err := readFrame(in); opcode != opClose || err != nil {
		t.Errorf("frame %d, %v", opcode, err)
	}
	until(t, "nothing in flight", func() bool { return inflight(t, p, "d1") == 0 })
}

func TestEndStreams_SpreadsTheirEnds(t *testing.T) {
	t.Parallel()
	p := setup(t)
	swing(t, p, entryOf("a", "a.example", newBackend(t, "d1")))
	const many = 30
	ended := make(chan time.Time, many)
	for range many {
		_, in := openSocket(t, p, "a.example")
		go func() {
			if opcode, _, err := readFrame(in); opcode != opClose || err != nil {
				t.Errorf("frame %d, %v", opcode, err)
			}
			ended <- time.Now()
		}()
	}
	begin := time.Now()
	if n, err := p.EndStreams(t.Context(), "d1", begin.Add(time.Second)); n != many || err != nil {
		t.Errorf("%d streams, %v", n, err)
	}
	halves := [2]int{}
	for range many {
		if at := <-ended; at.Sub(begin) < 500*time.Millisecond {
			halves[0]++
		} else {
			halves[1]++
		}
	}
	if halves[0] == 0 || halves[1] == 0 {
		t.Errorf("streams that ended in the first and the second half: %v", halves)
	}
}

func TestEndStreams_SwingingBackCallsItOff(t *testing.T) {
	t.Parallel()
	p := setup(t)
	old := entryOf("a", "a.example", newBackend(t, "old"))
	swing(t, p, old)
	conn := dialWS(t, visitor(t, p), "a.example")
	swing(t, p, entryOf("a", "a.example", newBackend(t, "new")))
	if n, err := p.EndStreams(t.Context(), "old", time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("%d streams, %v", n, err)
	}
	swing(t, p, old)
	open := &p.traffic["old"].streams
	open.mu.Lock()
	for _, timer := range open.open {
		if timer != nil || !open.until.IsZero() {
			t.Error("a stream is still to end")
		}
	}
	open.mu.Unlock()
	if got, err := echo(t.Context(), conn, "hi"); err != nil || got != "old hi" {
		t.Errorf("%q %v", got, err)
	}
}
