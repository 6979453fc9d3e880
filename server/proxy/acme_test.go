package proxy

import (
	"crypto/tls"
	"encoding/binary"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pebbleca "github.com/letsencrypt/pebble/v2/ca"
	pebbledb "github.com/letsencrypt/pebble/v2/db"
	pebbleva "github.com/letsencrypt/pebble/v2/va"
	pebblewfe "github.com/letsencrypt/pebble/v2/wfe"
)

// authority is a real ACME server for tests, which validates at the proxy.
type authority struct {
	*httptest.Server
	handler atomic.Pointer[http.Handler]
	orders  atomic.Int64
	roots   string // PEM file with the certificate of its own API
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{roots: filepath.Join(t.TempDir(), "roots.pem")}
	a.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/order-plz" {
			a.orders.Add(1)
		}
		(*a.handler.Load()).ServeHTTP(w, r)
	}))
	t.Cleanup(a.Close)
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw})
	if err := os.WriteFile(a.roots, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// validate sets the authority up for the proxy's ports.
func (a *authority) validate(t *testing.T, p *Proxy) {
	a.validateAt(t, p.http.port(0), p.https.port(0))
}

func (a *authority) validateAt(t *testing.T, http, https int) {
	quiet, db := log.New(io.Discard, "", 0), pebbledb.NewMemoryStore()
	ca := pebbleca.New(quiet, db, "", "ecdsa", 0, 1, map[string]pebbleca.Profile{"default": {}})
	va := pebbleva.New(quiet, http, https, false, nameServer(t), db)
	wfe := pebblewfe.New(quiet, db, va, ca, []string{"ca.example"}, false, false, 0, 0)
	h := wfe.Handler()
	a.handler.Store(&h)
}

// nameServer answers every question for an IPv4 address with 127.0.0.1, all
// others with nothing. It speaks TCP: so does the authority.
func nameServer(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				answerNames(c)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

// answerNames ends with the connection, or after a second without question.
func answerNames(c net.Conn) {
	for c.SetDeadline(time.Now().Add(time.Second)) == nil {
		var size uint16
		if binary.Read(c, binary.BigEndian, &size) != nil {
			return
		}
		query := make([]byte, size)
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		reply := nameReply(query)
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// nameReply follows RFC 1035, section 4.
func nameReply(query []byte) []byte {
	end := 12
	for end < len(query) && query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // the root label, type and class
	if end > len(query) {
		return nil
	}
	reply := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, query[12:end]...)
	if query[end-3] == 1 { // type A
		reply[7] = 1
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
	}
	return reply
}

func TestACME_CertificateIsHadOnDemandForKnownHostsOnly(t *testing.T) {
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	a := newAuthority(t)
	p := setup(t, withTLS, func(o *Options) {
		o.Internal = false
		o.ACME = ACME{CA: a.URL + pebblewfe.DirectoryPath, Roots: []string{a.roots}, Email: "operator@acme.example"}
		o.Logger = nil
	})
	a.validate(t, p)
	e := entryOf("a", "www.acme.example", newBackend(t, "d1"))
	swing(t, p, e)
	if err := p.Prove(t.Context(), e); err != nil {
		t.Error(err)
	}
	for range 2 {
		if got := get(t, visitor(t, p), "https://www.acme.example/"); got.Body != "d1" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	}
	if n := a.orders.Load(); n != 1 {
		t.Errorf("%d orders for one host", n)
	}
	d := tls.Dialer{Config: &tls.Config{ServerName: "unknown.acme.example", InsecureSkipVerify: true}}
	if conn, err := d.DialContext(t.Context(), "tcp", p.https.address()); err == nil {
		_ = conn.Close()
		t.Error("an unknown host has a certificate")
	}
	if n := a.orders.Load(); n != 1 {
		t.Errorf("%d orders after an unknown host", n)
	}
}
