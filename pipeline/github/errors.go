package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	gogithub "github.com/google/go-github/v60/github"

	"github.com/swingbridge/swingbridge/pipeline"
)

// RateLimited says that GitHub wants no request from this identity for a while.
// Carrying on regardless can get an integration banned.
//
//nolint:errname // it is what GitHub says, read as errors.As(err, &limited)
type RateLimited struct {
	Until time.Time
}

func (e *RateLimited) Error() string {
	return "GitHub asks to wait until " + e.Until.UTC().Format(time.RFC3339)
}

// APIError is an answer of GitHub that is not a success. It holds neither the
// request nor its headers, so that printing it cannot show a token.
type APIError struct {
	Status  int
	Method  string
	Path    string
	Message string // in GitHub's words
	token   bool   // the refused call was for an installation's token
}

func (e *APIError) Error() string {
	text := fmt.Sprintf("GitHub answered %d to %s %s", e.Status, e.Method, e.Path)
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// Unwrap makes a 404 a pipeline.ErrNotFound, and a server in trouble
// pipeline.ErrUnreachable.
func (e *APIError) Unwrap() error {
	switch {
	case e.Status == http.StatusNotFound:
		return pipeline.ErrNotFound
	case e.Status >= 500:
		return pipeline.ErrUnreachable
	}
	return nil
}

// newAPIError reads the body of an answer that is not a success.
func newAPIError(resp *http.Response) *APIError {
	e := &APIError{Status: resp.StatusCode}
	if resp.Request != nil {
		e.Method, e.Path = resp.Request.Method, resp.Request.URL.Path
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what is missing only shortens the message
	var said struct {
		Message string            `json:"message"`
		Errors  []json.RawMessage `json:"errors"`
	}
	if json.Unmarshal(body, &said) != nil {
		return e
	}
	e.Message = said.Message
	for _, detail := range said.Errors {
		e.Message += " " + string(detail)
	}
	e.Message = clip(strings.Join(strings.Fields(e.Message), " "), 500)
	return e
}

// explain turns what go-github and the transports return into the errors of
// this package.
func (c *Client) explain(err error) error {
	if err == nil {
		return nil
	}
	var (
		limited   *RateLimited
		refused   *APIError
		primary   *gogithub.RateLimitError
		secondary *gogithub.AbuseRateLimitError
		answer    *gogithub.ErrorResponse
		accepted  *gogithub.AcceptedError
		broken    *json.SyntaxError
		mistyped  *json.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &limited):
		return limited
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &primary):
		return &RateLimited{Until: primary.Rate.Reset.Time}
	case errors.As(err, &secondary):
		return &RateLimited{Until: c.now().Add(secondary.GetRetryAfter())}
	case errors.As(err, &answer):
		return fromGoGithub(answer)
	case errors.As(err, &accepted):
		return &APIError{Status: http.StatusAccepted, Message: "GitHub is still working on it"}
	case errors.Is(err, ErrRedirect), errors.Is(err, ErrNoIdentity), errors.Is(err, pipeline.ErrInvalid), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &broken), errors.As(err, &mistyped):
		return fmt.Errorf("GitHub's answer is not what its API describes: %w", err)
	}
	return fmt.Errorf("GitHub is %w: %w", pipeline.ErrUnreachable, err)
}

func fromGoGithub(answer *gogithub.ErrorResponse) *APIError {
	e := &APIError{Message: answer.Message}
	if r := answer.Response; r != nil {
		e.Status = r.StatusCode
		if r.Request != nil {
			e.Method, e.Path = r.Request.Method, r.Request.URL.Path
		}
	}
	for _, detail := range answer.Errors {
		e.Message += " " + strings.Join(strings.Fields(detail.Resource+" "+detail.Field+" "+detail.Code+" "+detail.Message), " ")
	}
	e.Message = clip(strings.TrimSpace(e.Message), 500)
	return e
}

// refusal reports whether trying again soon cannot help: GitHub understood and
// said no.
func refusal(err error) bool {
	var refused *APIError
	if errors.As(err, &refused) {
		return refused.Status >= 400 && refused.Status < 500 && refused.Status != http.StatusRequestTimeout
	}
	return errors.Is(err, ErrRedirect) || errors.Is(err, ErrNoIdentity) ||
		errors.Is(err, pipeline.ErrInvalid) || errors.Is(err, pipeline.ErrNotFound)
}
