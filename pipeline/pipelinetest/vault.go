package pipelinetest

import (
	"context"
	"maps"
)

// SetEnv gives the app another environment, the next version of it.
func (l *Ledger) SetEnv(env map[string]string) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.envs = append(l.envs, maps.Clone(env))
}

// SetFiles has the server hold other files, at every version.
func (l *Ledger) SetFiles(files map[string][]byte) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.files = maps.Clone(files)
}

// FilesAt implements pipeline.Vault.
func (l *Ledger) FilesAt(ctx context.Context, _ string, _ int64) (map[string][]byte, error) {
	if err := l.w.call(ctx, "ledger.FilesAt"); err != nil {
		return nil, err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return maps.Clone(l.files), nil
}

// EnvAt implements pipeline.Vault.
func (l *Ledger) EnvAt(ctx context.Context, _ string, version int64) (map[string]string, error) {
	if err := l.w.call(ctx, "ledger.EnvAt"); err != nil {
		return nil, err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return maps.Clone(l.envs[version]), nil
}

// Env implements pipeline.Vault.
func (l *Ledger) Env(ctx context.Context, _ string) (map[string]string, int64, error) {
	if err := l.w.call(ctx, "ledger.Env"); err != nil {
		return nil, 0, err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	version := len(l.envs) - 1
	return maps.Clone(l.envs[version]), int64(version), nil
}
