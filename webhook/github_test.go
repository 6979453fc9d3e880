package webhook_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/webhook"
)

func someTime() time.Time { return time.Unix(1, 0) }

// examples are GitHub's own example deliveries (MIT), named EVENT.NN.json.
func examples(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/github/*.json")
	if err != nil || len(files) < 60 {
		t.Fatalf("only %d examples: %v", len(files), err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		body, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = body
	}
	return out
}

func TestHandler_EveryExampleOfGitHubHasOneOutcome(t *testing.T) {
	t.Parallel()
	follower := app("hello")
	follower.App.Repo, follower.App.Branch = "Codertocat/Hello-World", "master"
	want := map[string]string{
		"push.00.json": "ignored/tag", "push.02.json": "ignored/tag",
		"push.04.json": "queued/push", "push.06.json": "ignored/tag",
		"check_run.06.json": "ignored/unknown_repo", "check_run.08.json": "ignored/unknown_repo",
	}
	for name, body := range examples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, follower)
			w.handler = webhook.New(webhook.Options{Secret: []byte(secret), Ledger: w.ledger})
			event, _, _ := strings.Cut(name, ".")
			status, got, _ := w.send(t, request(string(body), "d-"+name, event))
			expected := "ignored/event"
			if event == "ping" {
				expected = "pong/ping"
			}
			if w, ok := want[name]; ok {
				expected = w
			}
			if have := got["outcome"].(string) + "/" + got["reason"].(string); status != 202 || have != expected {
				t.Errorf("%d %s, want %s: %v", status, have, expected, got["message"])
			}
		})
	}
}

func TestVerify_KnowsGitHubsOwnExample(t *testing.T) {
	t.Parallel()
	// https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
	const want = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	if got := webhook.Sign([]byte(secret), []byte("Hello, World!")); got != want {
		t.Fatalf("got %s", got)
	}
	if !webhook.Verify([]byte(secret), []byte("Hello, World!"), want) {
		t.Fatal("GitHub's example is refused")
	}
}

func TestVerify_NoSingleBitMayFlip(t *testing.T) {
	t.Parallel()
	body, signature := []byte(push), []byte(webhook.Sign([]byte(secret), []byte(push)))
	flips := func(what string, b []byte) {
		for i := range len(b) * 8 {
			b[i/8] ^= 1 << (i % 8)
			if webhook.Verify([]byte(secret), body, string(signature)) {
				t.Errorf("bit %d of the %s does not matter", i, what)
			}
			b[i/8] ^= 1 << (i % 8)
		}
	}
	flips("body", body)
	flips("signature", signature)
	if !webhook.Verify([]byte(secret), body, string(signature)) {
		t.Fatal("the untouched one is refused")
	}
}

func FuzzVerifyAndRead(f *testing.F) {
	for name, body := range examples(f) {
		event, _, _ := strings.Cut(name, ".")
		if event == "push" || event == "ping" {
			f.Add(event, body, webhook.Sign([]byte(secret), body))
		}
	}
	f.Add("push", []byte(push), "sha256=")
	f.Fuzz(func(t *testing.T, name string, body []byte, signature string) {
		if webhook.Verify([]byte(secret), body, signature) && signature != webhook.Sign([]byte(secret), bytes.Clone(body)) {
			t.Fatal("a second valid spelling of a signature")
		}
		e, err := webhook.Read(name, body)
		if err != nil {
			return
		}
		d := webhook.Decide(e, e.Delivery("id", body, someTime()), []pipeline.Standing{app("shop"), app("docs")})
		if d.Outcome == "" || d.Reason == "" || d.Message == "" {
			t.Fatalf("decided nothing: %+v", d)
		}
		for _, v := range d.Apps {
			if v.Queue != nil && (len(v.Queue.Commit) != 40 && len(v.Queue.Commit) != 64 || strings.ContainsAny(v.Queue.Subject, "\n")) {
				t.Fatalf("queued %+v", v.Queue)
			}
		}
	})
}
