package webhook_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/webhook"
)

// A client that sends its whole body before it reads, as most do, must see why
// it was refused.
func TestHandler_ARefusalReachesAClientThatIsStillSending(t *testing.T) {
	t.Parallel()
	w := setup(t)
	server := httptest.NewServer(webhook.New(webhook.Options{Secret: []byte(secret), Ledger: w.ledger, Limit: 1 << 20}))
	t.Cleanup(server.Close)
	for name, size := range map[string]int{"over the limit": 8 << 20, "unsigned": 1 << 19} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", size)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(conn, io.LimitReader(strings.NewReader(strings.Repeat(" ", size)), int64(size))); err != nil {
			t.Errorf("%s: send: %v", name, err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := map[string]int{"over the limit": 413, "unsigned": 401}[name]; answer.StatusCode != want {
			t.Errorf("%s: %s", name, answer.Status)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}
