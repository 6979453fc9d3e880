package webhook

import (
	"context"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// DefaultLimit is GitHub's own cap on a payload: larger ones are never sent
// (https://docs.github.com/en/webhooks/webhook-events-and-payloads).
const DefaultLimit = 25 << 20

// storeTimeout ends before GitHub gives up on a delivery, which is after 10 s.
const storeTimeout = 9 * time.Second

// Ledger stores deliveries. It calls decide with the apps that follow the
// delivery's repository and commits what it returns together with what it
// queues; nil means that all of it is on disk.
type Ledger interface {
	Deliver(ctx context.Context, d pipeline.Delivery, decide func([]pipeline.Standing) pipeline.Delivery) (pipeline.Delivery, error)
}

// Options is what a handler needs.
type Options struct {
	Secret []byte // at least MinSecret bytes, or every delivery is refused with 503
	Ledger Ledger
	Now    func() time.Time
	Logger *slog.Logger
	Limit  int64 // of a body in bytes; 0 is DefaultLimit

	// Count, if set, is told what came of each request: an outcome of the
	// contract or "refused", and the reason's code.
	Count func(outcome, reason string)
}

type handler struct {
	Options
	large *budget
}

// New returns the handler of POST /webhooks/github. Without a secret that is
// long enough it refuses every delivery.
func New(o Options) http.Handler {
	if o.Limit <= 0 {
		o.Limit = DefaultLimit
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Count == nil {
		o.Count = func(string, string) {}
	}
	return &handler{Options: o, large: newBudget(largeBodies * o.Limit)}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, no := h.receive(w, r)
	if no != nil {
		h.refuse(w, r, no)
		return
	}
	name, id, no := names(r.Header)
	if no != nil {
		h.refuse(w, r, no)
		return
	}
	event, err := Read(name, body)
	if err != nil {
		h.refuse(w, r, &refusal{status: http.StatusBadRequest, code: "not_json", message: "The body is not a JSON object."})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	d := event.Delivery(id, body, h.Now())
	stored, err := h.Ledger.Deliver(ctx, d, func(apps []pipeline.Standing) pipeline.Delivery {
		return Decide(event, d, apps)
	})
	if err != nil {
		h.Logger.ErrorContext(ctx, "delivery not stored", "delivery", id, "event", name, "error", err)
		h.refuse(w, r, &refusal{status: http.StatusServiceUnavailable, code: "not_stored", message: "The delivery was not stored; send it again."})
		return
	}
	a := answerOf(stored)
	h.Count(a.Outcome, a.Reason)
	writeJSON(w, http.StatusAccepted, "application/json", a)
}

// receive returns the body once the signature over it held.
func (h *handler) receive(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	if no := h.precheck(r); no != nil {
		return nil, no
	}
	signature, err := signatureOf(r.Header)
	if err != nil {
		return nil, unsigned()
	}
	body, err := h.read(w, r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, h.tooLarge()
	case errors.Is(err, errBusy):
		return nil, &refusal{status: http.StatusServiceUnavailable, code: "busy", message: "Too many large deliveries at once; send it again."}
	case err != nil:
		return nil, &refusal{status: http.StatusBadRequest, code: "body", message: "The body did not arrive."}
	case !Verify(h.Secret, body, signature):
		return nil, unsigned()
	}
	return body, nil
}

// precheck refuses what can be refused before a byte of the body is read.
func (h *handler) precheck(r *http.Request) *refusal {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Method != http.MethodPost:
		return &refusal{status: http.StatusMethodNotAllowed, code: "method", message: "Deliveries are sent with POST."}
	case len(h.Secret) < MinSecret:
		return &refusal{status: http.StatusServiceUnavailable, code: "no_secret", message: "No webhook secret of at least 16 bytes is set, so no delivery can be trusted."}
	case len(r.Header.Values("Content-Encoding")) > 0:
		return &refusal{status: http.StatusUnsupportedMediaType, code: "encoded", message: "Deliveries must not be compressed."}
	case err != nil || media != "application/json":
		return &refusal{status: http.StatusUnsupportedMediaType, code: "media_type", message: "Set the webhook's content type to application/json."}
	case r.ContentLength > h.Limit:
		return h.tooLarge()
	}
	return nil
}

func (h *handler) tooLarge() *refusal {
	return &refusal{status: http.StatusRequestEntityTooLarge, code: "too_large", message: "The body is over the limit."}
}

func unsigned() *refusal {
	return &refusal{status: http.StatusUnauthorized, code: "signature", message: "X-Hub-Signature-256 is missing or wrong."}
}

// names returns the event's name and the delivery's id.
func names(h http.Header) (event, id string, no *refusal) {
	events, ids := h.Values("X-GitHub-Event"), h.Values("X-GitHub-Delivery")
	if len(events) != 1 || len(ids) != 1 || !isName(events[0]) || !isName(ids[0]) {
		return "", "", &refusal{status: http.StatusBadRequest, code: "headers", message: "X-GitHub-Event and X-GitHub-Delivery must be there once each."}
	}
	return events[0], ids[0], nil
}

// isName keeps what becomes a key and a line in a list short and printable.
func isName(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
