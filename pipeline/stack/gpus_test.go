package stack

import (
	"strings"
	"testing"
)

func replaced(compose, device string) string { return strings.Replace(compose, "DEVICE", device, 1) }

func TestLoad_ReservedGPUsAreThoseOfTheKeyGpus(t *testing.T) {
	t.Parallel()
	const compose = "services:\n  web:\n    image: x\n    deploy: {resources: {reservations: {devices: [{DEVICE, capabilities: [gpu]}]}}}\n"
	for device, want := range map[string]string{"driver: nvidia, count: all": "all", "count: 2": "2"} {
		in := setup(t, replaced(compose, device))
		refusedWith(t, in, "compose.yml:4: service web: deploy.resources.reservations.devices: the app is not allowed gpus:"+want)
		in.Allowed = []string{"gpus:" + want}
		if got := mustLoad(t, in).Services[0].Rights.Other["gpus"]; got != want {
			t.Errorf("%s: %q", device, got)
		}
	}
	for _, device := range []string{"device_ids: ['0']", "driver: tpu, count: 1"} {
		refusedWith(t, setup(t, replaced(compose, device)), "service web: deploy.resources.reservations.devices: only a number of the engine's own choice is handled")
	}
	refusedWith(t, setup(t, replaced(compose, "count: 1")+"    gpus: all\n"), "service web: deploy.resources.reservations.devices: says the same as gpus: keep one of them")
}
