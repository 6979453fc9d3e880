package logs

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

const canary = "c4n@ry/+ \"quo\\te\" <é>&"

// masked runs text through a masker in parts of the given size.
func masked(secrets []string, text string, size int) string {
	m := newMasker(secrets)
	var out strings.Builder
	for len(text) > 0 {
		n := min(max(1, size), len(text))
		out.Write(m.mask([]byte(text[:n])))
		text = text[n:]
	}
	out.Write(m.flush())
	return out.String()
}

func spellings(secret string) map[string]string {
	quoted, _ := json.Marshal(secret)
	return map[string]string{
		"raw":                  secret,
		"base64":               base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 for URLs":      base64.URLEncoding.EncodeToString([]byte(secret)),
		"base64 without =":     base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"in a query":           url.QueryEscape(secret),
		"in a path":            url.PathEscape(secret),
		"in JSON":              string(quoted),
		"in Go":                fmt.Sprintf("%q", secret),
		"in Go, ASCII":         fmt.Sprintf("%+q", secret),
		"in hex":               fmt.Sprintf("%x", secret),
		"in upper case hex":    fmt.Sprintf("%X", secret),
		"in Basic credentials": base64.StdEncoding.EncodeToString([]byte("me:" + secret + "!")),
	}
}

func TestMask_FindsEverySpellingAtEveryBoundary(t *testing.T) {
	t.Parallel()
	for name, spelled := range spellings(canary) {
		text := "password=" + spelled + " done\n"
		for size := 1; size <= len(text); size++ {
			got := masked([]string{canary}, text, size)
			if !strings.Contains(got, mask) || !strings.HasPrefix(got, "password=") || !strings.HasSuffix(got, " done\n") {
				t.Errorf("%s in parts of %d: %q", name, size, got)
			}
			for other, leak := range spellings(canary) {
				if other != "in Basic credentials" && strings.Contains(got, leak) {
					t.Errorf("%s in parts of %d shows it %s: %q", name, size, other, got)
				}
			}
		}
		if got := masked(nil, text, 3); !strings.Contains(got, spelled) { // the control: this test can find it
			t.Errorf("%s: gone without a masker: %q", name, got)
		}
	}
}

func TestMask_OverlapsAreMaskedAsOne(t *testing.T) {
	t.Parallel()
	for size := 1; size < 20; size++ {
		if got := masked([]string{"abcdefgh", "efghijkl", "abcdefghijklmnop"}, "<abcdefghijkl>", size); got != "<***>" {
			t.Errorf("in parts of %d: %q", size, got)
		}
	}
}

func TestMask_ShortValuesAndCommonWordsStay(t *testing.T) {
	t.Parallel()
	if got := masked([]string{"", "a", "12345", "      "}, "a 12345 b", 2); got != "a 12345 b" {
		t.Errorf("%q", got)
	}
}

func TestMask_EachLineOfAKeyIsASecret(t *testing.T) {
	t.Parallel()
	key := "-----BEGIN KEY-----\nMIIEvQIBADAN\nAgEAAoIBAQC7\n-----END KEY-----\n"
	got := masked([]string{key}, "#8 1.2 MIIEvQIBADAN\n#8 1.3 AgEAAoIBAQC7\n", 5)
	if got != "#8 1.2 ***\n#8 1.3 ***\n" {
		t.Errorf("%q", got)
	}
}

func TestMask_ALogThatEndsWithinASecretHidesIt(t *testing.T) {
	t.Parallel()
	if got := masked([]string{"0123456789abcdef"}, "key: 0123456789", 4); got != "key: ***" {
		t.Errorf("%q", got)
	}
}

func TestLog_MasksBeforeItWrites(t *testing.T) {
	t.Parallel()
	d := setup(t)
	for _, secrets := range [][]string{{canary}, nil} { // the second is the control
		l, err := d.Open("d1", secrets)
		if err != nil {
			t.Fatal(err)
		}
		write(t, l, "token "+canary[:5])
		if found := strings.Contains(all(t, d), canary[:5]); found != (secrets == nil) {
			t.Errorf("half of a secret in the file: %v, secrets %q", found, secrets)
		}
		write(t, l, canary[5:]+"\n")
		closed(t, l)
		if found := strings.Contains(all(t, d), canary); found != (secrets == nil) {
			t.Errorf("the secret in the file: %v, secrets %q", found, secrets)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add("hunter2hunter2", "r2hunter2hun", "x %s y %s z", uint8(3))
	f.Add("abcabcabc", "cabcab", "%sabc%s", uint8(1))
	f.Add(canary, "123456", "%s%s", uint8(7))
	f.Add("aaaaaaa", "aaaaaaaaaaaa", "aaaa%saaaa%saaaa", uint8(2))
	f.Add("line one\nline two", "\xff\xfe\xfd\xfc\xfb\xfa", "%s\r\n%s", uint8(5))
	f.Fuzz(func(t *testing.T, a, b, frame string, size uint8) {
		if strings.Contains(a+b, "*") || len(a) > 200 || len(b) > 200 || len(frame) > 2000 {
			return // the mask itself is made of stars
		}
		for name, spelled := range spellings(a) {
			text := strings.Replace(strings.Replace(frame, "%s", spelled, 1), "%s", b, 1)
			got := masked([]string{a, b}, text, int(size))
			if once := masked([]string{a, b}, text, len(text)); got != once {
				t.Fatalf("%s: in parts %q, at once %q", name, got, once)
			}
			for _, secret := range []string{a, b} {
				for _, form := range Forms(secret) {
					if strings.Contains(got, form) {
						t.Fatalf("%s: %q is in %q", name, form, got)
					}
				}
			}
		}
	})
}
