package proxy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddytls"
)

// certificateOf makes a certificate by itself, in PEM; issuer is its mark.
func certificateOf(t *testing.T, issuer string, until time.Time, names ...string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: issuer}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

func writeFile(t *testing.T, content []byte, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// issuerOf says whose certificate a visitor of the host gets.
func issuerOf(t *testing.T, p *Proxy, host string) string {
	t.Helper()
	d := tls.Dialer{Config: &tls.Config{ServerName: host, InsecureSkipVerify: true}}
	conn, err := d.DialContext(t.Context(), "tcp", p.https.address())
	if err != nil {
		return "none"
	}
	defer conn.Close()
	if name := conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Issuer.CommonName; !strings.Contains(name, "Caddy") {
		return name
	}
	return "issued"
}

func TestCertificates_OwnOnesComeFirstAndAreReadAgain(t *testing.T) {
	t.Parallel()
	folder, later := t.TempDir(), time.Now().Add(time.Hour)
	put := func(mark, name string, until time.Time, names ...string) {
		cert, key := certificateOf(t, mark, until, names...)
		writeFile(t, cert, folder, name+".crt")
		writeFile(t, key, folder, name+".key")
	}
	cert, key := certificateOf(t, "wildcard", later, "*.own-wild.example")
	writeFile(t, cert, folder, "wild", "fullchain.pem")
	writeFile(t, key, folder, "wild", "privkey.pem")
	put("expired", "expired", time.Now().Add(-time.Minute), "own-expired.example")
	var ahead atomic.Int64
	look := func() { ahead.Add(int64(lookEvery)) }
	p := setup(t, withTLS, func(o *Options) {
		o.Certificates, o.Logger = folder, nil
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	b := newBackend(t, "d1")
	for i, host := range []string{"own.example", "a.own-wild.example", "own-expired.example"} {
		swing(t, p, entryOf(string(rune('a'+i)), host, b))
	}
	want := func(what, host, issuer string) {
		t.Helper()
		if got := issuerOf(t, p, host); got != issuer {
			t.Errorf("%s: %s has the certificate %q, want %q", what, host, got, issuer)
		}
	}
	want("without a file", "own.example", "issued")
	want("a wildcard", "a.own-wild.example", "wildcard")
	want("a wildcard for a host that nobody has", "b.own-wild.example", "none")
	want("an expired one", "own-expired.example", "issued")
	put("first", "own", later, "own.example")
	look()
	want("a new file, though one is issued", "own.example", "first")
	if got := get(t, visitor(t, p), "https://own.example/"); got.Body != "d1" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	put("second", "own", later, "own.example")
	look()
	want("a file that changed", "own.example", "second")
	cert, key = certificateOf(t, "third", later, "own.example")
	writeFile(t, cert, folder, "own.crt")
	look()
	want("while only half is written", "own.example", "second")
	writeFile(t, key, folder, "own.key")
	look()
	want("when all is written", "own.example", "third")
	if err := os.Remove(filepath.Join(folder, "own.crt")); err != nil {
		t.Fatal(err)
	}
	look()
	want("a file that is gone", "own.example", "issued")
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	look()
	want("a folder that is gone", "a.own-wild.example", "wildcard")
}

func TestCertificates_AFolderThatIsNotThereStopsTheStart(t *testing.T) {
	t.Parallel()
	p := prepared(t, withTLS, func(o *Options) { o.Certificates = filepath.Join(t.TempDir(), "nowhere") })
	if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "SWINGBRIDGE_CERTIFICATES") {
		t.Errorf("run: %v", err)
	}
}

func TestIssuance_WaitsLongerAfterEachFailure(t *testing.T) {
	t.Parallel()
	now := time.Now()
	i := newIssuance(func() time.Time { return now })
	for n, pause := range []time.Duration{2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour} {
		if err := i.allowed("a.example"); err != nil {
			t.Fatalf("before failure %d: %v", n, err)
		}
		i.failed("a.example", errors.New("refused"))
		now = now.Add(pause - time.Second)
		if i.allowed("a.example") == nil {
			t.Errorf("allowed within %v of failure %d", pause, n)
		}
		if i.allowed("b.example") != nil {
			t.Error("another host has to wait")
		}
		now = now.Add(time.Second)
	}
	i.failed("a.example", errors.New("refused"))
	i.obtained("a.example")
	i.failed("a.example", context.Canceled)
	now = now.Add(issueGivenUp)
	if err := i.allowed("a.example"); err != nil {
		t.Errorf("after an attempt that was given up: %v", err)
	}
}

func TestACME_AnAuthorityThatRefusesIsLeftAlone(t *testing.T) {
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	// Caddy goes on with an attempt after the proxy's end, so another run of the
	// test in this process needs another host.
	host := "refused-" + strings.ToLower(rand.Text()) + ".acme.example"
	a := newAuthority(t)
	p := setup(t, withTLS, func(o *Options) {
		o.Internal = false
		o.ACME = ACME{CA: a.URL + "/dir", Roots: []string{a.roots}}
		o.Logger = nil
	})
	mute, err := net.Listen("tcp", "127.0.0.1:0") // nothing there says that the host is ours
	if err != nil {
		t.Fatal(err)
	}
	port := mute.Addr().(*net.TCPAddr).Port
	if err := mute.Close(); err != nil {
		t.Fatal(err)
	}
	a.validateAt(t, port, port)
	swing(t, p, entryOf("a", host, newBackend(t, "d1")))
	shake := func() {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			d := tls.Dialer{Config: &tls.Config{ServerName: host, InsecureSkipVerify: true}}
			if conn, err := d.DialContext(ctx, "tcp", p.https.address()); err == nil {
				_ = conn.Close()
				t.Error("the host has a certificate")
			}
		}()
		until(t, "the refusal", func() bool { return p.issuance.allowed(host) != nil })
		cancel()
		<-done
	}
	shake()
	orders := a.orders.Load()
	for range 5 {
		shake()
	}
	if err := (&permissionModule{proxy: p}).CertificateAllowed(t.Context(), host); !errors.Is(err, caddytls.ErrPermissionDenied) || !strings.Contains(err.Error(), "next attempt") {
		t.Errorf("the next handshake: %v", err)
	}
	if n := a.orders.Load(); orders == 0 || n != orders {
		t.Errorf("%d orders after the first failure, %d after further handshakes", orders, n)
	}
}
