package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// message is one of the stream that builds, pulls and imports answer with.
type message struct {
	ID          string          `json:"id"`
	Status      string          `json:"status"`
	Stream      string          `json:"stream"`
	Error       string          `json:"error"`
	ErrorDetail errorDetail     `json:"errorDetail"`
	Progress    json.RawMessage `json:"progressDetail"`
	Aux         json.RawMessage `json:"aux"`
}

type errorDetail struct {
	Message string `json:"message"`
}

// failure is the error that the message tells of, nil if none.
func (m message) failure(what string) error {
	text := m.ErrorDetail.Message
	if text == "" {
		text = m.Error
	}
	if text == "" {
		return nil
	}
	return fmt.Errorf("%s: %w", what, errors.New(text))
}

// messages hands the stream's messages to each until it ends or each fails.
func messages(body io.Reader, each func(message) error) error {
	decoder := json.NewDecoder(body)
	for {
		var m message
		err := decoder.Decode(&m)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the engine's answer: %w", err)
		}
		if err := each(m); err != nil {
			return err
		}
	}
}
