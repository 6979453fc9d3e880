package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

// maxBody is the most that a request may send, in bytes.
const maxBody = 1 << 20

// decode reads the body into value: JSON, nothing unknown in it, nothing after
// it.
func decode(w http.ResponseWriter, r *http.Request, value any) error {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := strings.ToLower(params["charset"])
	isJSON := kind == "application/json" || kind == "application/merge-patch+json" && r.Method == http.MethodPatch
	switch encoding := r.Header.Get("Content-Encoding"); {
	case err != nil || !isJSON || charset != "" && charset != "utf-8":
		return unsupported("send the body as application/json")
	case encoding != "" && encoding != "identity":
		return unsupported("send the body without a content encoding")
	}
	reader := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	reader.DisallowUnknownFields()
	if err := reader.Decode(value); err != nil {
		return badBody(err)
	}
	if _, err := reader.Token(); !errors.Is(err, io.EOF) {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return badBody(err)
		}
		return badBody(errors.New("there is something after the JSON value"))
	}
	return nil
}

// decodeOptional is decode for calls whose body may be missing.
func decodeOptional(w http.ResponseWriter, r *http.Request, value any) error {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	return decode(w, r, value)
}

func unsupported(detail string) error {
	return problemError{Problem{Status: http.StatusUnsupportedMediaType, Code: CodeMediaType, Detail: detail}}
}

// badBody says what is wrong with a body, naming the field where there is one.
func badBody(err error) error {
	var (
		tooLarge  *http.MaxBytesError
		wrongType *json.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &tooLarge):
		return problemError{Problem{
			Status: http.StatusRequestEntityTooLarge, Code: CodeTooLarge,
			Detail: fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit),
		}}
	case errors.As(err, &wrongType):
		return invalid(wrongType.Field, fmt.Sprintf("%q cannot be a %s", wrongType.Field, wrongType.Value))
	}
	// encoding/json has no type for this error, only its text.
	if quoted, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		field, unquoteErr := strconv.Unquote(quoted)
		if unquoteErr != nil {
			field = quoted
		}
		return problemError{Problem{
			Status: http.StatusUnprocessableEntity, Code: CodeUnknownField, Field: field,
			Detail: fmt.Sprintf("there is no field %q here", field),
		}}
	}
	return problemError{Problem{
		Status: http.StatusBadRequest, Code: CodeBadJSON, Detail: "the body is not a JSON object: " + err.Error(),
	}}
}

const (
	defaultLimit = 50
	maxLimit     = 200 // what the store gives at most
)

// page reads ?after= and ?limit=.
func page(r *http.Request) (pipeline.Page, error) {
	query := r.URL.Query()
	p := pipeline.Page{After: query.Get("after"), Limit: defaultLimit}
	if text := query.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 1 {
			return p, invalid("limit", "limit must be a number from 1 to 200")
		}
		p.Limit = min(limit, maxLimit)
	}
	return p, nil
}

// oneMore asks for an item more than wanted, to know whether there is a next
// part.
func oneMore(p pipeline.Page) pipeline.Page {
	p.Limit = min(p.Limit+1, maxLimit)
	return p
}

// listOf cuts what oneMore got to what was wanted.
func listOf[A, B any](got []A, p pipeline.Page, id func(A) string, to func(A) B) List[B] {
	var next string
	if len(got) > p.Limit || len(got) == maxLimit {
		got = got[:min(len(got), p.Limit)]
		next = id(got[len(got)-1])
	}
	return List[B]{Items: mapped(got, to), Next: next}
}

// offsetOf reads a byte offset.
func offsetOf(name, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	offset, err := strconv.ParseInt(text, 10, 64)
	if err != nil || offset < 0 {
		return 0, invalid(name, name+" must be a byte offset: 0 or more")
	}
	return offset, nil
}
