package server

import (
	"net/http"
	"strings"
	"testing"
)

func TestRouter_RefusesLinesThatDoNotSayWhoMay(t *testing.T) {
	t.Parallel()
	handler := func(http.ResponseWriter, *http.Request) {}
	for name, table := range map[string][]Route{
		"no permission":      {{Method: "GET", Pattern: "/x", Handler: handler}},
		"unknown permission": {{Method: "GET", Pattern: "/x", Permission: "owner", Handler: handler}},
		"no handler":         {{Method: "GET", Pattern: "/x", Permission: Public}},
		"twice": {
			{Method: "GET", Pattern: "/x", Permission: Public, Handler: handler},
			{Method: "GET", Pattern: "/x", Permission: Admin, Handler: handler},
		},
	} {
		s := &Server{}
		if _, err := s.router(table); err == nil || !strings.Contains(err.Error(), "GET /x") {
			t.Errorf("%s: got error %v, want one that names the route", name, err)
		}
	}
	s := &Server{}
	if _, err := s.router([]Route{{Method: "GET", Pattern: "/x", Permission: Public, Handler: handler}}); err != nil {
		t.Errorf("a whole line was refused: %v", err)
	}
}

func TestLocal_OnlyPathsOfThisSite(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]bool{
		"/": true, "/apps/shop?tab=env": true, "": false, "//evil.test": false, `/\evil.test`: false,
		"https://evil.test": false, "/\t/evil.test": false, "javascript:alert(1)": false,
	} {
		if got := isLocal(next); got != want {
			t.Errorf("isLocal(%q) = %v, want %v", next, got, want)
		}
	}
}
