package web_test

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// corpus is text as strangers may choose it: subjects, branches, lines of logs.
func corpus() []string {
	return []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'><svg onload=alert(1)>`, `</title><script>alert(1)</script>`,
		`javascript:alert(1)`, `</li></ol></details><script>alert(1)</script>`, "\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07",
		"\x1b]1338;url=https://evil.example/x.png;alt=x\x07", "\x1b]1339;url=javascript:alert(1)\x07", "\x1b]1337;File=name=eA==;inline=1:PHN2Zy8+\x07",
		"\x1b[31m<b onclick=alert(1)>red", "\x1b_bk;t=0\x07<script>alert(1)</script>", "\x1b[2J\x1b[H<iframe srcdoc=x>", "a\rdata: <script>alert(1)</script>\r\revent: part",
		"\r\n\r\nevent: part\r\ndata: <script>alert(1)</script>\r\n\r\n", "{{.Secret}}", `<style>*{display:none}</style>`, `<a href="//evil.example">x</a>`,
		"\u202egnp.exe", "\x9b31m\u009b31m", "\xff\xfe<script>", `${alert(1)}`, "<!--", "--><script>alert(1)</script>", "\x1b", "\x1b[", "\x1b]8;;x",
	}
}

// policy collects what a page must not have: anything inline, any address of
// another site that is not a plain link, elements that load or run.
func policy(t *testing.T, page string) (problems []string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "style", "iframe", "object", "embed", "img", "base":
			problems = append(problems, "element "+n.Data)
		case "script":
			if n.FirstChild != nil {
				problems = append(problems, "inline script")
			}
		}
		for _, a := range n.Attr {
			value := strings.ToLower(strings.TrimSpace(a.Val))
			switch {
			case a.Key == "style", strings.HasPrefix(a.Key, "on"), a.Key == "srcdoc":
				problems = append(problems, n.Data+" has "+a.Key)
			case (a.Key == "href" || a.Key == "src" || a.Key == "action") && !strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "#") &&
				!(n.Data == "a" && strings.HasPrefix(value, "https://")):
				problems = append(problems, n.Data+" leads to "+value)
			case (a.Key == "href" || a.Key == "src" || a.Key == "action") && strings.HasPrefix(value, "//"):
				problems = append(problems, n.Data+" leads to another site")
			}
		}
	}
	return problems
}

func TestPolicy_FindsWhatItLooksFor(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		`<p style="x">`, `<script>x</script>`, `<a href="javascript:x">`, `<p onclick=x>`, `<img src=x>`, `<style></style>`, `<form action="https://x">`, `<script src="//x">`,
	} {
		if len(policy(t, bad)) == 0 {
			t.Errorf("%s was let through", bad)
		}
	}
}

func TestPages_HaveNothingInline(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for name, path := range allPages() {
		if problems := policy(t, s.get(t, path).Body.String()); len(problems) > 0 {
			t.Errorf("%s: %q", name, problems)
		}
	}
}

// poison puts a text of strangers wherever one can be.
func (s *site) poison(text string) {
	for i := range s.dep {
		d := &s.dep[i]
		d.Subject, d.Actor, d.Reason, d.DeliveryID = text, text, text, text
		for j := range d.Steps {
			d.Steps[j].Detail, d.Steps[j].Error = text, text
		}
	}
	for i := range s.apps {
		s.apps[i].Branch, s.apps[i].Repo = text, text
		for j := range s.apps[i].Routes {
			s.apps[i].Routes[j].Path = "/" + text
		}
	}
	for i := range s.deliveries {
		d := &s.deliveries[i]
		d.Ref, d.Repo, d.Sender, d.Message, d.Event, d.Commit, d.ID = "refs/heads/"+text, text, text, text, text, text, text
	}
	for i := range s.audit {
		e := &s.audit[i]
		e.Actor, e.Target, e.Detail, e.From = text, text, text, text
	}
	// A line feed would make another line of the log, which is no harm.
	line := strings.ReplaceAll(text, "\n", "")
	for id := range s.logs {
		s.logs[id] = s.clean[id] + line + "\n" + line
	}
}

// shape is a page without its texts: names of elements and attributes, in order.
func shape(t *testing.T, page string) []string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data != "span" && n.Data != "li" {
			out = append(out, n.Data)
			for _, a := range n.Attr {
				out = append(out, a.Key)
			}
		}
	}
	return out
}

func TestPages_TakeTextOfStrangersForText(t *testing.T) {
	t.Parallel()
	s, want := setup(t), map[string][]string{}
	s.poison("harmless")
	for name, path := range allPages() {
		want[name] = shape(t, s.get(t, path).Body.String())
	}
	for _, text := range corpus() {
		s.poison(text)
		for name, path := range allPages() {
			page := s.get(t, path).Body.String()
			if problems := policy(t, page); len(problems) > 0 {
				t.Errorf("%q in %s: %q", text, name, problems)
			}
			if !slices.Equal(shape(t, page), want[name]) {
				t.Errorf("%q changes the shape of %s", text, name)
			}
		}
	}
}

func TestStream_TakesTextOfStrangersForText(t *testing.T) {
	t.Parallel()
	for _, text := range corpus() {
		s := setup(t)
		s.poison(text)
		close(s.chunks)
		w := s.get(t, "/deployments/d09/stream?offset=0&line=1")
		events := parseStream(t, w)
		for _, e := range events {
			if problems := policy(t, "<!doctype html><body>"+e.data); len(problems) > 0 {
				t.Errorf("%q in a stream: %q", text, problems)
			}
		}
		if last := events[len(events)-1]; last.name != "end" {
			t.Errorf("%q: the stream ends with %q", text, last.name)
		}
	}
}

type event struct{ name, id, data string }

// parseStream reads events as browsers do.
func parseStream(t *testing.T, w *httptest.ResponseRecorder) []event {
	t.Helper()
	var out []event
	body := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(w.Body.String())
	for block := range strings.SplitSeq(body, "\n\n") {
		var e event
		var data []string
		for line := range strings.SplitSeq(block, "\n") {
			field, value, _ := strings.Cut(line, ":")
			value = strings.TrimPrefix(value, " ")
			switch field {
			case "event":
				e.name = value
			case "id":
				e.id = value
			case "data":
				data = append(data, value)
			case "":
			default:
				t.Errorf("a line %q in the stream", line)
			}
		}
		if e.data = strings.Join(data, "\n"); len(data) > 0 {
			if !slices.Contains([]string{"part", "section", "lines", "end"}, e.name) {
				t.Errorf("an event %q", e.name)
			}
			out = append(out, e)
		}
	}
	return out
}

func TestLogin_SendsNobodyToAnotherSite(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, next := range []string{"https://evil.example", "//evil.example", `/\evil.example`, "/\t/evil.example", "/\n/evil.example", "javascript:alert(1)", "evil", ""} {
		w := s.post(t, "/login", map[string][]string{"token": {"good"}, "next": {next}})
		if w.Code != 303 || w.Header().Get("Location") != "/" {
			t.Errorf("next=%q: %d to %q", next, w.Code, w.Header().Get("Location"))
		}
	}
	if got := s.post(t, "/login", map[string][]string{"token": {"good"}, "next": {"/apps/x?after=1"}}).Header().Get("Location"); got != "/apps/x?after=1" {
		t.Errorf("a page of this site: sent to %q", got)
	}
}
