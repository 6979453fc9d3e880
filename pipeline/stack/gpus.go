package stack

import (
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// gpus are those that the service asks for, by the key of that name or, as files
// did before there was one, by a reservation.
func (s *service) gpus(out *Rights) {
	requests, keys := s.from.Gpus, []string{"gpus"}
	if d := s.from.Deploy; d != nil && d.Resources.Reservations != nil && len(d.Resources.Reservations.Devices) > 0 {
		keys = []string{"deploy", "resources", "reservations", "devices"}
		if len(requests) > 0 {
			s.add("says the same as gpus: keep one of them", keys)
		}
		requests = d.Resources.Reservations.Devices
	}
	count, ok := countGPUs(requests)
	switch {
	case !ok:
		s.add("only a number of the engine's own choice is handled: all, or count; %s", keys, undo)
	case count != "":
		out.Other["gpus"] = count
		s.l.need(s.view.at(keys...), s.name, strings.Join(keys, "."), otherPermission("gpus", count))
	}
}

// countGPUs is "all", a number, or "" for none.
func countGPUs(requests []types.DeviceRequest) (string, bool) {
	switch {
	case len(requests) == 0:
		return "", true
	case len(requests) > 1 || len(requests[0].IDs)+len(requests[0].Options) > 0:
		return "", false
	}
	r := requests[0]
	ours := (r.Driver == "" || r.Driver == "nvidia") && (len(r.Capabilities) == 0 || slices.Equal(r.Capabilities, []string{"gpu"}))
	if r.Count == -1 {
		return "all", ours
	}
	return strconv.FormatInt(int64(r.Count), 10), ours && r.Count > 0
}
