package proxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// frameOf makes a WebSocket frame (RFC 6455, 5.2).
func frameOf(opcode byte, masked bool, payload []byte) []byte {
	out := []byte{finBit | opcode}
	mask := byte(0)
	if masked {
		mask = maskedBit
	}
	switch n := len(payload); {
	case n < 126:
		out = append(out, mask|byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, mask|126), uint16(n))
	default:
		out = binary.BigEndian.AppendUint64(append(out, mask|127), uint64(n))
	}
	if masked {
		out = append(out, 0, 0, 0, 0) // a key of zeros leaves the payload as it is
	}
	return append(out, payload...)
}

// readFrame is strict: anything but a whole frame is an error.
func readFrame(in *bufio.Reader) (opcode byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, nil, err
	}
	if head[0]&0x70 != 0 {
		return 0, nil, fmt.Errorf("reserved bits in %#x: a frame was torn", head[0])
	}
	n := uint64(head[1] & lengthOf)
	switch n {
	case 126:
		var long [2]byte
		_, err = io.ReadFull(in, long[:])
		n = uint64(binary.BigEndian.Uint16(long[:]))
	case 127:
		var long [8]byte
		_, err = io.ReadFull(in, long[:])
		n = binary.BigEndian.Uint64(long[:])
	}
	if err != nil || n > 1<<22 {
		return 0, nil, errors.Join(err, fmt.Errorf("a frame of %d bytes", n))
	}
	key := make([]byte, 4)
	if head[1]&maskedBit != 0 {
		if _, err := io.ReadFull(in, key); err != nil {
			return 0, nil, err
		}
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(in, payload)
	for i := range payload {
		payload[i] ^= key[i%4]
	}
	return head[0] & opMask, payload, err
}

func TestFrames_FindsEveryBoundaryHoweverTheBytesCome(t *testing.T) {
	t.Parallel()
	var stream []byte
	var ends []int
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 70000, 3, 0} {
		for _, masked := range []bool{false, true} {
			stream = append(stream, frameOf(2, masked, make([]byte, n))...)
			ends = append(ends, len(stream))
		}
	}
	for _, most := range []int{1, 2, 3, 7, 100, 32 << 10, len(stream)} {
		var f frames
		var got []int
		for at := 0; at < len(stream); {
			step := min(len(stream)-at, 1+rand.N(most))
			for chunk := stream[at : at+step]; len(chunk) > 0; {
				n := f.next(chunk)
				chunk, at = chunk[n:], at+n
				if f.between() {
					got = append(got, at)
				}
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(ends) {
			t.Errorf("pieces of up to %d bytes: boundaries at %v, want %v", most, got, ends)
		}
		if f.closed {
			t.Error("there was no close frame")
		}
	}
}

// torrent is a target that sends frames of all sizes without end, and notes how
// its visitor left.
func torrent(t *testing.T) (addr netip.AddrPort, left chan error) {
	left = make(chan error, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			left <- err
			return
		}
		defer func() { _ = c.CloseNow() }()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			defer cancel()
			for {
				if _, _, err := c.Read(ctx); err != nil {
					left <- err
					return
				}
			}
		}()
		for n := 1; ctx.Err() == nil; n = n*3%200_003 + 1 {
			if c.Write(ctx, websocket.MessageBinary, bytes.Repeat([]byte{'x'}, n)) != nil {
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
			for !stop.Load() {
				for piece := range 10 {
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
		if err := <-left; websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("round %d: the target was left with %v", round, err)
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

// eventsOf reads an event stream to its end.
func eventsOf(t *testing.T, c *http.Client, url string, each func(line string)) error {
	t.Helper()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		each(lines.Text())
	}
	return lines.Err()
}

func TestEndStreams_EndsEventStreamsAsIfTheAppHad(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Options){"HTTP/1.1": func(*Options) {}, "HTTP/2": withTLS} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setup(t, change)
			swing(t, p, entryOf("a", "events.example", newBackend(t, "d1")))
			c, url := visitor(t, p), "http://events.example/events"
			if p.https != nil {
				url = "https://events.example/events"
				c.Transport.(*http.Transport).ForceAttemptHTTP2 = true
			}
			err := eventsOf(t, c, url, func(line string) {
				if line != "data: d1" {
					return
				}
				if n, err := p.EndStreams(t.Context(), "d1", time.Now()); n != 1 || err != nil {
					t.Errorf("%d streams, %v", n, err)
				}
			})
			if err != nil {
				t.Errorf("the stream was cut: %v", err)
			}
			until(t, "nothing in flight", func() bool { return inflight(t, p, "d1") == 0 })
		})
	}
}

func TestEndStreams_LetsAnEventComeToItsEnd(t *testing.T) {
	t.Parallel()
	p := setup(t)
	half, rest := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		fmt.Fprint(w, "data: one\r\n\r\ndata: tw")
		_ = http.NewResponseController(w).Flush()
		<-half
		<-rest
		fmt.Fprint(w, "o\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	e := entryOf("a", "a.example")
	e.Paths[0].Targets = []netip.AddrPort{netip.MustParseAddrPort(s.Listener.Addr().String())}
	swing(t, p, e)
	var got []string
	err := eventsOf(t, visitor(t, p), "http://a.example/", func(line string) {
		if got = append(got, line); line == "data: one" {
			close(half)
			if n, err := p.EndStreams(t.Context(), e.Deployment, time.Now()); n != 1 || err != nil {
				t.Errorf("%d streams, %v", n, err)
			}
			close(rest)
		}
	})
	if want := "data: one||data: two|"; err != nil || strings.Join(got, "|") != want {
		t.Errorf("%q %v, want %q", got, err, want)
	}
}

func TestEndStreams_LeavesSlowRequestsAlone(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := newBackend(t, "d1")
	swing(t, p, entryOf("a", "a.example", b))
	answer := make(chan answerOf, 1)
	go func() { answer <- get(t, visitor(t, p), "http://a.example/held") }()
	<-b.got
	if n, err := p.EndStreams(t.Context(), "d1", time.Now()); n != 0 || err != nil {
		t.Errorf("%d streams, %v", n, err)
	}
	close(b.hold)
	if got := <-answer; got.Body != "d1" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}
