package main

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/api/client"
)

func TestBrowser_SignsInRedeploysAndRollsBack(t *testing.T) {
	t.Parallel()
	s := live(t)
	s.mustBe(s.await(s.push(release{version: "version 2"}, "Add a second quay")), pipeline.Live)
	b := s.browse()

	b.open("/apps/" + appName)
	if at := b.path(); at != "/login" {
		t.Fatalf("a stranger is shown %s", at)
	}
	b.do("sign in", chromedp.SendKeys(`input[name=token]`, s.token), chromedp.Submit(`input[name=token]`))
	b.await("a page other than the login", func() bool { return b.path() != "/login" })

	b.open("/")
	b.do("open the app", chromedp.Click(fmt.Sprintf(`a[href="/apps/%s"]`, appName)))
	b.await("the app's page", func() bool { return b.path() == "/apps/"+appName })
	back := b.deployBy("Roll back")
	if back.Trigger != pipeline.Rollback {
		t.Errorf("the button made a deployment by %s", back.Trigger)
	}
	s.sees(appHost, "version 1")

	b.open("/apps/" + appName)
	again := b.deployBy("Redeploy")
	if again.Trigger != pipeline.Redeploy {
		t.Errorf("the button made a deployment by %s", again.Trigger)
	}
	s.sees(appHost, "version 2")

	// What is written by strangers is text, and the pages have no errors.
	s.mustBe(s.await(s.push(release{version: "version 3"}, `<img src=x onerror="document.title='owned'">`)), pipeline.Live)
	for _, path := range []string{"/", "/apps/" + appName, "/deliveries", "/audit", "/doctor", "/settings"} {
		b.open(path)
		if title := b.title(); title == "owned" || title == "" {
			t.Errorf("%s has the title %q", path, title)
		}
	}
	if heard := b.heard(); len(heard) > 0 {
		t.Errorf("the pages complained: %q", heard)
	}
}

func TestBrowser_ChangesAnApp(t *testing.T) {
	t.Parallel()
	s := live(t)
	b := s.browse()
	b.open("/login")
	b.do("sign in", chromedp.SendKeys(`input[name=token]`, s.token), chromedp.Submit(`input[name=token]`))
	b.await("a page other than the login", func() bool { return b.path() != "/login" })

	b.open("/apps/" + appName)
	b.press("Maintenance page")
	b.await("the banner", func() bool { return strings.Contains(b.text(), "Visitors get the maintenance page") })
	if _, err := s.get(appHost, "/"); err == nil {
		t.Error("visitors are served")
	}
	b.press("Serve again")
	b.await("no banner", func() bool { return !strings.Contains(b.text(), "Serve again") })
	s.sees(appHost, "version 1")

	b.open("/apps/" + appName + "/settings")
	b.do("type a redirect", chromedp.SendKeys(`textarea[name=redirects]`, "www."+appHost+"="+appHost), chromedp.Click(`input[name=paused]`))
	b.press("Save")
	b.await("the page to say that it is stored", func() bool { return strings.Contains(b.text(), "The settings were stored") })
	b.do("type a variable", chromedp.SendKeys(`input[name=name]`, "HARBOR_NAME"), chromedp.SendKeys(`textarea[name=value]`, "north"))
	b.press("Set")
	b.await("the page to say that it is set", func() bool { return strings.Contains(b.text(), "The variable was set") })
	a, err := s.api.App(t.Context(), appName)
	if err != nil || !a.Paused || len(a.Redirects) != 1 || a.Redirects[0].Host != "www."+appHost || len(a.Routes) != 1 || len(a.Compose) != 1 {
		t.Errorf("the app is %+v, %v", a, err)
	}
	s.deploy()
	s.wantVariable("HARBOR_NAME", "north")

	b.open("/settings")
	b.do("name a token", chromedp.SendKeys(`#token-name`, "laptop"))
	b.press("Make a token")
	b.await("the token", func() bool { return strings.Contains(b.text(), "It is shown only now") })
	if heard := b.heard(); len(heard) > 0 {
		t.Errorf("the pages complained: %q", heard)
	}
}

// browser is a real one, with the pages of the site.
type browser struct {
	*site
	tab context.Context

	mu         sync.Mutex
	complaints []string
}

func (s *site) browse() *browser {
	s.t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.UserDataDir(s.t.TempDir()), chromedp.WSURLReadTimeout(ample),
	)
	running, stop := chromedp.NewExecAllocator(context.Background(), options...)
	tab, closeTab := chromedp.NewContext(running)
	b := &browser{site: s, tab: tab}
	heard := make(chan struct{})
	s.t.Cleanup(func() {
		if err := chromedp.Cancel(tab); err != nil {
			s.t.Errorf("close the browser: %v", err)
		}
		closeTab()
		stop()
		<-heard
	})
	console := chromedp.Console(tab)
	go func() {
		defer close(heard)
		b.listen(console)
	}()
	b.do("start", chromedp.Navigate("about:blank"))
	return b
}

// listen keeps what pages complain about: a script that fails, or something
// that the security policy does not allow.
func (b *browser) listen(console iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range console {
		if err != nil {
			return // closed
		}
		if m.IsException() || m.Type == "error" {
			b.mu.Lock()
			b.complaints = append(b.complaints, m.String()+" "+m.URL)
			b.mu.Unlock()
		}
	}
}

func (b *browser) heard() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.complaints)
}

func (b *browser) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.tab, ample)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("browser, %s: %v\n%s", what, err, b.text())
	}
}

// ask has the browser tell a text.
func (b *browser) ask(what chromedp.Action[string]) (string, error) {
	ctx, cancel := context.WithTimeout(b.tab, ample)
	defer cancel()
	return chromedp.Run(ctx, what)
}

func (b *browser) open(path string) { b.do("open "+path, chromedp.Navigate(b.url+path)) }

func (b *browser) path() string {
	b.t.Helper()
	location, err := b.ask(chromedp.Location())
	if err != nil {
		b.t.Fatalf("browser, location: %v", err)
	}
	u, err := url.Parse(location)
	if err != nil {
		b.t.Fatal(err)
	}
	return u.Path
}

func (b *browser) title() string {
	b.t.Helper()
	title, err := b.ask(chromedp.Title())
	if err != nil {
		b.t.Fatalf("browser, title: %v", err)
	}
	return title
}

// text is what the page shows.
func (b *browser) text() string {
	text, err := b.ask(chromedp.Evaluate[string](`document.body ? document.body.innerText : ""`))
	if err != nil {
		return err.Error()
	}
	return text
}

func (b *browser) await(what string, held func() bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), ample)
	defer cancel()
	for !held() {
		if pause(ctx) != nil {
			b.t.Fatalf("the browser waited in vain for %s; it shows, with complaints %q:\n%s", what, b.heard(), b.text())
		}
	}
}

func (b *browser) press(button string) {
	b.t.Helper()
	b.do("press "+button, chromedp.Click(fmt.Sprintf(`//button[normalize-space()=%q]`, button)))
}

// deployBy presses a button of the app's page and watches the page of the
// deployment that it leads to become live, without opening it again.
func (b *browser) deployBy(button string) api.Deployment {
	b.t.Helper()
	b.press(button)
	newest := b.newest()
	b.await("the page of deployment "+newest.ID, func() bool { return strings.HasPrefix(b.path(), "/deployments/") })
	id := strings.TrimPrefix(b.path(), "/deployments/")
	end := b.mustBe(b.site.await(id), pipeline.Live)
	b.await("the page to say that the deployment is live", func() bool {
		said, err := b.ask(chromedp.Evaluate[string](`[...document.querySelectorAll("[role=status]")].map((e) => e.innerText.trim()).join("\n")`))
		return err == nil && slices.Contains(strings.Split(said, "\n"), string(pipeline.Live))
	})
	return end
}

func (b *browser) newest() api.Deployment {
	b.t.Helper()
	list, err := b.api.Deployments(b.t.Context(), appName, client.Part{Limit: 1})
	if err != nil || len(list.Items) == 0 {
		b.t.Fatalf("newest deployment: %v", err)
	}
	return list.Items[0]
}
