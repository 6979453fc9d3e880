package main

import (
	"context"

	"github.com/swingbridge/swingbridge/server"
)

// visitors gives what the proxy counts in the terms of the metrics.
func (p *plant) visitors(ctx context.Context) ([]server.AppTraffic, error) {
	from, err := p.plane.Stats(ctx)
	if err != nil {
		return nil, err
	}
	var out []server.AppTraffic
	for _, a := range from.Apps {
		to := server.AppTraffic{
			App: a.App, Inflight: a.Inflight, Requests: a.Requests, DialErrors: a.DialErrors, Bytes: a.Bytes,
			Took: map[float64]uint64{}, TookSum: a.Took.Sum,
		}
		for i, n := range a.Took.Counts {
			if to.TookCount = n; i < len(a.Took.Bounds) {
				to.Took[a.Took.Bounds[i]] = n
			}
		}
		out = append(out, to)
	}
	return out, nil
}
