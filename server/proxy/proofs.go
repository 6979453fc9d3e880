package proxy

import (
	"crypto/rand"
	"errors"
	"sync"
	"time"
)

const (
	proofLife  = time.Minute
	proofLimit = 4096 // tokens that may wait to be spent
)

// proofs are one-time tokens. A request that brings one is told in the answer
// which deployment gave it; nobody else is.
type proofs struct {
	now func() time.Time

	mu      sync.Mutex
	unspent map[string]time.Time // token to when it ends
}

func newProofs(now func() time.Time) *proofs {
	return &proofs{now: now, unspent: map[string]time.Time{}}
}

// mint makes a token.
func (p *proofs) mint() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if len(p.unspent) >= proofLimit {
		for token, end := range p.unspent {
			if now.After(end) {
				delete(p.unspent, token)
			}
		}
	}
	if len(p.unspent) >= proofLimit {
		return "", errors.New("too many proof tokens wait to be spent")
	}
	token := rand.Text() + rand.Text() // 260 bits
	p.unspent[token] = now.Add(proofLife)
	return token, nil
}

// spend reports whether the token is good, and makes it bad. Finding a guess
// by timing is hopeless against the map of random keys, and against one use.
func (p *proofs) spend(token string) bool {
	if token == "" {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	end, ok := p.unspent[token]
	delete(p.unspent, token)
	return ok && !p.now().After(end)
}
