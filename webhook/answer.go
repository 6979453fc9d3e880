package webhook

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/swingbridge/swingbridge/pipeline"
)

// retryAfter is told with every 503, in seconds.
const retryAfter = 10

// answer is the body of a 202.
type answer struct {
	DeliveryID   string      `json:"delivery_id"`
	Outcome      string      `json:"outcome"`
	Reason       string      `json:"reason"`
	Message      string      `json:"message"`
	DeploymentID string      `json:"deployment_id,omitempty"`
	Apps         []appAnswer `json:"apps,omitempty"` // where several apps follow the repository
}

type appAnswer struct {
	App          string `json:"app"`
	Outcome      string `json:"outcome"`
	Reason       string `json:"reason"`
	Message      string `json:"message"`
	DeploymentID string `json:"deployment_id,omitempty"`
}

func answerOf(d pipeline.Delivery) answer {
	a := answer{
		DeliveryID: d.ID, Outcome: string(d.Outcome), Reason: d.Reason, Message: d.Message,
		DeploymentID: strongest(d.Apps).DeploymentID,
	}
	if d.Outcome == pipeline.OutcomeDuplicate {
		a.Reason, a.Message = ReasonDuplicate, "This delivery was received before; nothing was done again."
	}
	if len(d.Apps) < 2 {
		return a
	}
	for _, v := range d.Apps {
		a.Apps = append(a.Apps, appAnswer{
			App: v.App, Outcome: string(v.Outcome), Reason: v.Reason, Message: v.Message, DeploymentID: v.DeploymentID,
		})
	}
	return a
}

// refusal is a request that was not taken, answered as RFC 9457 problem JSON.
type refusal struct {
	status  int
	code    string
	message string
}

func (h *handler) refuse(w http.ResponseWriter, r *http.Request, no *refusal) {
	h.Count("refused", no.code)
	discard(w, r)
	switch no.status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	writeJSON(w, no.status, "application/problem+json", map[string]any{
		"type": "about:blank", "title": http.StatusText(no.status), "status": no.status,
		"detail": no.message, "code": no.code,
	})
}

// writeJSON drops the error of the last write: the client is gone, and what it
// was to be told is already on disk.
func writeJSON(w http.ResponseWriter, status int, media string, v any) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
