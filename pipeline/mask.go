package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// masked is a sentence for people without what the log may not have either.
func (x *run) masked(text string) string {
	for _, v := range x.secrets {
		if len(v) >= 6 { // as in logs: shorter ones would tear holes
			quoted := strconv.Quote(v)
			text = strings.ReplaceAll(text, v, "***")
			text = strings.ReplaceAll(text, quoted[1:len(quoted)-1], "***")
		}
	}
	return text
}

// secretsOf lists the values that must never reach a log, longest first, for
// one may begin with another: those of the app's environment as it is now, and
// those that the deployment's release was made with. A rollback's containers
// have the latter, and so has what was interrupted before a variable changed.
func (r *Runner) secretsOf(ctx context.Context, dep Deployment, env map[string]string, held map[string][]byte) ([]string, error) {
	values := slices.AppendSeq(HeldSecrets(held), maps.Values(env))
	if dep.ReleaseID != "" {
		rel, err := r.Ledger.Release(ctx, dep.ReleaseID)
		if err != nil {
			return nil, fmt.Errorf("read release: %w", err)
		}
		then, err := r.Ledger.EnvAt(ctx, dep.AppID, rel.EnvVersion)
		if err != nil {
			return nil, fmt.Errorf("read the environment of the release: %w", err)
		}
		files, err := r.Ledger.FilesAt(ctx, dep.AppID, rel.EnvVersion)
		if err != nil {
			return nil, fmt.Errorf("read the files of the release: %w", err)
		}
		values = slices.AppendSeq(append(values, HeldSecrets(files)...), maps.Values(then))
	}
	slices.Sort(values)
	values = slices.Compact(values)
	slices.SortStableFunc(values, func(a, b string) int { return len(b) - len(a) })
	return values, nil
}
