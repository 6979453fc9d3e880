package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestDeploy_WhoStopsWaitingIsToldThatItGoesOn(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			interrupt()
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"id":"d1","app":"shop","state":"running"}`)
	}))
	defer server.Close()
	var out, said bytes.Buffer
	code := run(ctx, []string{"deploy", "shop", "--wait"},
		[]string{"SWINGBRIDGE_URL=" + server.URL, "SWINGBRIDGE_TOKEN=t"}, stdio{out: &out, err: &said})
	if code != exitFailed || !strings.Contains(said.String(), "it goes on: see swingbridge status shop, or end it with swingbridge cancel d1") {
		t.Errorf("exit code %d, with %q", code, said.String())
	}
}
