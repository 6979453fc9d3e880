package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
)

// MinSecret is the length in bytes under which a webhook secret is refused.
const MinSecret = 16

const signatureHeader = "X-Hub-Signature-256"

var errSignature = errors.New("the signature is missing or wrong")

// Sign returns what GitHub sends as X-Hub-Signature-256 for body.
func Sign(secret, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Verify reports whether signature is the one of body. It compares the text,
// not the decoded bytes: hex in upper case would be a second valid spelling.
func Verify(secret, body []byte, signature string) bool {
	return len(secret) >= MinSecret && hmac.Equal([]byte(Sign(secret, body)), []byte(signature))
}

// signatureOf returns the request's one signature. A second one is refused:
// whoever checks the other would come to another answer.
func signatureOf(h http.Header) (string, error) {
	values := h.Values(signatureHeader)
	if len(values) != 1 || !strings.HasPrefix(values[0], "sha256=") ||
		len(values[0]) != len("sha256=")+hex.EncodedLen(sha256.Size) {
		return "", errSignature
	}
	return values[0], nil
}
