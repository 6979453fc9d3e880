package auth_test

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/auth"
)

func TestAuth_KnowsWhoseTokenItIs(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for header, want := range map[string]pipeline.Actor{
		"Bearer the admin's": {Name: "admin", Role: pipeline.Admin, From: "192.0.2.9"},
		"Bearer ci's":        {Name: "ci", Role: pipeline.Deployer, From: "192.0.2.9"},
		"bearer ci's":        {Name: "ci", Role: pipeline.Deployer, From: "192.0.2.9"},
	} {
		got, err := w.Identify(request(header, ""))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", header, err, diff)
		}
	}
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Bearer gone", "Basic the admin's", "the admin's", "Bearer THE ADMIN'S"} {
		if got, err := w.Identify(request(header, "")); !errors.Is(err, auth.ErrUnauthorized) {
			t.Errorf("%q: %+v %v", header, got, err)
		}
	}
	twice := request("Bearer ci's", "")
	twice.Header.Add("Authorization", "Bearer the admin's")
	if got, err := w.Identify(twice); !errors.Is(err, auth.ErrUnauthorized) {
		t.Errorf("two headers: %+v %v", got, err)
	}
}

func TestAuth_NoAdminTokenIsNoTokenAndNotTheEmptyOne(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *auth.Options) { o.AdminToken = "" })
	for _, header := range []string{"Bearer", "Bearer ", "Bearer  ", "Bearer the admin's"} {
		if got, err := w.Identify(request(header, "")); !errors.Is(err, auth.ErrUnauthorized) {
			t.Errorf("%q: %+v %v", header, got, err)
		}
	}
}

func TestAuth_AStoreThatFailsLetsNobodyInAndSaysWhy(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.memory.err = errors.New("disk")
	got, err := w.Identify(request("Bearer ci's", ""))
	if err == nil || errors.Is(err, auth.ErrUnauthorized) || got.Role != "" {
		t.Errorf("%+v %v", got, err)
	}
}

func TestAuth_ASessionIsOpenedUsedAndEnded(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *auth.Options) { o.Secure = true })
	cookie, err := w.Login(t.Context(), " ci's\n", "192.0.2.9")
	if err != nil {
		t.Fatal(err)
	}
	if !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.MaxAge <= 0 {
		t.Errorf("cookie %+v", cookie)
	}
	want := pipeline.Actor{Name: "ci", Role: pipeline.Deployer, From: "192.0.2.9"}
	if got, err := w.Identify(request("", cookie.Value)); err != nil || got != want {
		t.Errorf("%+v %v", got, err)
	}
	for hash, s := range w.memory.sessions {
		if strings.Contains(hash, cookie.Value) || s.TokenID != "t1" {
			t.Errorf("kept %+v", s)
		}
	}
	if _, err := w.Identify(request("Bearer wrong", cookie.Value)); !errors.Is(err, auth.ErrUnauthorized) {
		t.Errorf("a wrong token beside a good cookie: %v", err)
	}
	again, err := w.Login(t.Context(), "ci's", "192.0.2.9")
	if err != nil || again.Value == cookie.Value {
		t.Errorf("the session's id was not renewed: %v", err)
	}
	out, err := w.Logout(t.Context(), request("", cookie.Value))
	if err != nil || out.MaxAge >= 0 || out.Value != "" {
		t.Errorf("%+v %v", out, err)
	}
	if _, err := w.Identify(request("", cookie.Value)); !errors.Is(err, auth.ErrUnauthorized) {
		t.Errorf("after the logout: %v", err)
	}
	w.now = w.now.Add(8 * 24 * time.Hour)
	if _, err := w.Identify(request("", again.Value)); !errors.Is(err, auth.ErrUnauthorized) {
		t.Errorf("after its time: %v", err)
	}
}

func TestAuth_SessionsOfTheAdminTokenEndWithIt(t *testing.T) {
	t.Parallel()
	w := setup(t)
	cookie, err := w.Login(t.Context(), "the admin's", "")
	if err != nil {
		t.Fatal(err)
	}
	without := made(t, auth.Options{Store: w.memory, Setup: w.memory, Now: func() time.Time { return w.now }})
	if _, err := without.Identify(request("", cookie.Value)); !errors.Is(err, auth.ErrUnauthorized) {
		t.Errorf("%v", err)
	}
}

func TestAuth_GuessingIsLimitedPerAddress(t *testing.T) {
	t.Parallel()
	w := setup(t)
	var last error
	for range 11 {
		_, last = w.Login(t.Context(), "wrong", "192.0.2.66")
	}
	if !errors.Is(last, auth.ErrLimited) {
		t.Errorf("the eleventh: %v", last)
	}
	if _, err := w.Login(t.Context(), "ci's", "192.0.2.66"); !errors.Is(err, auth.ErrLimited) {
		t.Errorf("a good one from there: %v", err)
	}
	for range 50 { // good ones do not count
		if _, err := w.Login(t.Context(), "ci's", "192.0.2.9"); err != nil {
			t.Fatal(err)
		}
	}
	w.now = w.now.Add(time.Minute)
	if _, err := w.Login(t.Context(), "ci's", "192.0.2.66"); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}

func TestAuth_BelievesForwardedAddressesOfKnownProxiesOnly(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *auth.Options) { o.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	for _, c := range []struct{ peer, forwarded, want string }{
		{"203.0.113.5:1", "10.0.0.1", "203.0.113.5"},
		{"127.0.0.1:1", "198.51.100.7", "198.51.100.7"},
		{"127.0.0.1:1", "1.2.3.4, 198.51.100.7", "198.51.100.7"},
		{"127.0.0.1:1", "198.51.100.7, 127.0.0.2", "198.51.100.7"},
		{"127.0.0.1:1", "nonsense", "127.0.0.1"},
		{"127.0.0.1:1", "", "127.0.0.1"},
		{"[::ffff:127.0.0.1]:1", "2001:db8::1", "2001:db8::1"},
		{"@", "10.0.0.1", "@"},
	} {
		r := request("", "")
		r.RemoteAddr = c.peer
		r.Header.Set("X-Forwarded-For", c.forwarded)
		if got := w.From(r); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestSetup_WorksOnceAndClosesForGood(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *auth.Options) { o.AdminToken = "" })
	void, err := w.SetupToken(t.Context())
	if err != nil || void == "" {
		t.Fatalf("%q %v", void, err)
	}
	link, err := w.SetupToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"", "x", void, link + "x"} {
		if _, err := w.FirstToken(t.Context(), wrong, "mona", "1"); !errors.Is(err, auth.ErrSetupClosed) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if err := w.CheckSetup(link, "1"); err != nil {
		t.Errorf("the link is not good: %v", err)
	}

	var (
		all    sync.WaitGroup
		mu     sync.Mutex
		tokens []string
	)
	for range 5 {
		all.Go(func() {
			if token, err := w.FirstToken(t.Context(), link, "mona", "2"); err == nil {
				mu.Lock()
				defer mu.Unlock()
				tokens = append(tokens, token)
			}
		})
	}
	all.Wait()
	if len(tokens) != 1 {
		t.Fatalf("the link made %d tokens", len(tokens))
	}
	if got, err := w.Identify(request("Bearer "+tokens[0], "")); err != nil || got.Role != pipeline.Admin || got.Name != "mona" {
		t.Errorf("%+v %v", got, err)
	}
	if err := w.CheckSetup(link, "3"); !errors.Is(err, auth.ErrSetupClosed) {
		t.Errorf("after it was used: %v", err)
	}
	restarted := made(t, auth.Options{Store: w.memory, Setup: w.memory})
	if again, err := restarted.SetupToken(t.Context()); again != "" || err != nil {
		t.Errorf("a second setup after a restart: %q %v", again, err)
	}
}

func TestSetup_ALinkIsGoodForADay(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *auth.Options) { o.AdminToken = "" })
	link, err := w.SetupToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(24 * time.Hour)
	if err := w.CheckSetup(link, "1"); !errors.Is(err, auth.ErrSetupClosed) {
		t.Errorf("after a day: %v", err)
	}
	if link, err = w.SetupToken(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.CheckSetup(link, "1"); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

func TestNew_RefusesWhatNobodyCouldEverSignInTo(t *testing.T) {
	t.Parallel()
	for _, o := range []auth.Options{{}, {AdminToken: "x"}, {Store: &memory{}}} {
		if a, err := auth.New(o); err == nil {
			t.Errorf("made %v", a)
		}
	}
}

func TestSetup_IsClosedWhereTheSettingsHaveAnAdminToken(t *testing.T) {
	t.Parallel()
	w := setup(t)
	if link, err := w.SetupToken(t.Context()); link != "" || err != nil {
		t.Errorf("%q %v", link, err)
	}
	for _, token := range []string{"", "the admin's"} {
		if err := w.CheckSetup(token, "1"); !errors.Is(err, auth.ErrSetupClosed) {
			t.Errorf("%q: %v", token, err)
		}
	}
}

func TestNewToken_IsLongAndNeverTheSame(t *testing.T) {
	t.Parallel()
	a, b := auth.NewToken(), auth.NewToken()
	if a == b || len(a) != len("swb_")+43 || !strings.HasPrefix(a, "swb_") || len(auth.HashToken(a)) != 32 {
		t.Errorf("%q %q", a, b)
	}
}
