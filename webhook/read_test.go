package webhook_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/swingbridge/swingbridge/webhook"
)

// judged is Read by the rules of encoding/json, into maps: slow, and the
// measure of what is a JSON object, which of two keys counts and what becomes
// of bytes that are no UTF-8.
func judged(name string, body []byte) (webhook.Event, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var top map[string]any
	if err := d.Decode(&top); err != nil || top == nil || !json.Valid(body) {
		return webhook.Event{}, fmt.Errorf("not a JSON object: %w", err)
	}
	find := func(path string) (v any) {
		v = top
		for _, key := range strings.Split(path, ".") {
			inner, _ := v.(map[string]any)
			v = inner[key]
		}
		return v
	}
	text := func(path string) string { s, _ := find(path).(string); return s }
	flag := func(path string) bool { b, _ := find(path).(bool); return b }
	digits, _ := find("repository.id").(json.Number)
	id, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		id = 0
	}
	e := webhook.Event{
		Name: name, Action: text("action"), Repo: text("repository.full_name"), RepoID: id, Ref: text("ref"),
		Commit: text("after"), Deleted: flag("deleted"), Moved: flag("forced") || flag("created"), Sender: text("sender.login"),
	}
	if e.Sender == "" {
		e.Sender = text("pusher.name")
	}
	if text("head_commit.id") == e.Commit {
		e.Subject = subject(text("head_commit.message"))
	}
	if name == "check_run" {
		e.Commit, e.Check, e.Deployment = text("check_run.head_sha"), text("check_run.name"), text("check_run.external_id")
		switch e.Action {
		case "requested_action":
			e.Button = text("requested_action.identifier")
		case "rerequested":
			e.Button = "redeploy"
		}
	}
	return e, nil
}

func subject(message string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(message), "\n")
	line = strings.TrimSpace(line)
	if r := []rune(line); len(r) > 200 {
		return string(r[:199]) + "…"
	}
	return line
}

// odd are bodies on which JSON libraries differ.
func odd() []string {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	return []string{
		"", " ", "null", "true", "[]", `""`, "{", "{}", " {} ", "{} {}", "{}x", "{},", "\ufeff{}", "{}\x00", `{"a":1,}`, `{a:1}`, `{'a':1}`,
		`{"a":01}`, `{"a":+1}`, `{"a":.5}`, `{"a":1.}`, `{"a":0x1}`, `{"a":NaN}`, `{"a":1e}`, `{"a":-}`, `{"a":tru}`, `{"a":True}`,
		"{\"a\":\"\x01\"}", "{\"a\":\"\n\"}", "{\"a\":\"\x7f\"}", `{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":"\ud800"}`, `{"a":"\ud83d\ude00"}`, "{\v}",
		"/**/{}", "{}//", `{"a":[1,2,]}`, `{"a":[1 2]}`, `{"a" 1}`, `{"a"}`, `{1:1}`, `{"":{"":1}}`,
		`{"ref":"a","ref":null}`, `{"ref":"a","ref":5}`, `{"ref":"a","REF":"b"}`, `{"\u0072ef":"a"}`, "{\"ref\":\"\xff\"}", "{\"re\xfff\":\"a\",\"ref\xff\":\"b\"}",
		`{"ref":"\ud800x","action":"\u0000"}`,
		`{"repository":{"id":1},"repository":{"full_name":"o/r"}}`, `{"repository":{"id":1},"repository":null}`,
		`{"repository":{"id":1},"repository":[]}`, `{"repository":{"id":1,"id":"x"}}`, `{"repository":{"id":1,"ID":2}}`,
		`{"repository":{"id":-0}}`, `{"repository":{"id":1.0}}`, `{"repository":{"id":1e2}}`, `{"repository":{"id":9223372036854775807}}`,
		`{"repository":{"id":9223372036854775808}}`, `{"repository":{"id":-9223372036854775808}}`, `{"repository":{"id":"7"}}`,
		`{"repository":[{"id":1}],"sender":"x","pusher":{"name":"p"},"head_commit":7}`, `{"sender":{"login":""},"pusher":{"name":"p"}}`,
		`{"deleted":true,"deleted":false,"forced":"true","created":1}`, `{"created":true}`, `{"forced":true,"created":null}`,
		`{"action":"requested_action","requested_action":{"identifier":"redeploy"},"check_run":{"name":"n","head_sha":"h","external_id":"01a"}}`,
		`{"action":"rerequested","check_run":{"name":["n"],"head_sha":{}}}`,
		`{"a":` + deep(9998) + `}`, `{"a":` + deep(9999) + `}`, `{"a":` + deep(10000) + `}`, `{"a":` + deep(10001) + `}`,
		`{"ref":` + deep(9999) + `}`, `{"ref":` + deep(10000) + `}`, `{"repository":{"id":` + deep(9998) + `}}`, `{"repository":{"id":` + deep(9999) + `}}`,
	}
}

func agree(t *testing.T, name string, body []byte) {
	t.Helper()
	want, refused := judged(name, body)
	got, err := webhook.Read(name, body)
	if (err != nil) != (refused != nil) {
		t.Fatalf("%.200q: %v, by encoding/json %v", body, err, refused)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%.200q, by encoding/json (-) and as read (+):\n%s", body, diff)
	}
}

func TestRead_AgreesWithEncodingJSON(t *testing.T) {
	t.Parallel()
	for file, body := range examples(t) {
		event, _, _ := strings.Cut(file, ".")
		agree(t, event, body)
	}
	for _, body := range odd() {
		agree(t, "push", []byte(body))
		agree(t, "check_run", []byte(body))
	}
}

// Every single byte of a push that is missing, doubled or another one.
func TestRead_AgreesWithEncodingJSONOnDamagedPushes(t *testing.T) {
	t.Parallel()
	for i := range len(push) {
		agree(t, "push", []byte(push[:i]))
		agree(t, "push", []byte(push[:i]+push[i+1:]))
		agree(t, "push", []byte(push[:i]+push[i:i+1]+push[i:]))
		for _, other := range []byte("\x00\t\"\\{}[],:0-.eE tn\xff") {
			agree(t, "push", append(append([]byte(push[:i]), other), push[i+1:]...))
		}
	}
}

func FuzzReadAgreesWithEncodingJSON(f *testing.F) {
	for file, body := range examples(f) {
		event, _, _ := strings.Cut(file, ".")
		f.Add(event, body)
	}
	for _, body := range odd() {
		f.Add("push", []byte(body))
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) { agree(t, name, body) })
}

// BenchmarkRead reads GitHub's own pushes, and a larger example, as GitHub
// sends them: without blanks.
func BenchmarkRead(b *testing.B) {
	for _, name := range []string{"push.04.json", "push.06.json", "pull_request.00.json"} {
		b.Run(name, func(b *testing.B) {
			var body bytes.Buffer
			if err := json.Compact(&body, examples(b)[name]); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(body.Len()))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := webhook.Read("push", body.Bytes()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
