package github_test

import (
	"net/http/httptest"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/github"
	"github.com/swingbridge/swingbridge/pipeline/github/minihub"
)

func TestSender_OverARealConnectionThatBreaks(t *testing.T) {
	t.Parallel()
	w := setup(t, asApp)
	server := httptest.NewServer(w.handler)
	defer server.Close()
	client, err := github.New(github.Options{BaseURL: server.URL, AppID: appID, AppKey: w.key, PublicURL: publicURL})
	if err != nil {
		t.Fatal(err)
	}
	fresh := func() *github.Sender {
		return w.sender(func(o *github.SenderOptions) { o.Client = client })
	}
	w.outbox.put(deployment("01a", pipeline.Queued))
	flush(t, fresh())
	w.hub.Inject(minihub.Fault{Apply: true, Drop: true, Times: 2})
	w.outbox.put(deployment("01a", pipeline.Queued, pipeline.Running, pipeline.Failed))
	flush(t, fresh())
	w.outbox.due()
	flush(t, fresh())
	w.outbox.due()
	flush(t, fresh())
	w.check(t, asApp, "only the end", path{conclusion: "failure", records: []string{"failure"}, last: "failure"})
}
