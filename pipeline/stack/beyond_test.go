package stack_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// appOf is an app with one compose file whose route leads to web.
func appOf(compose string) stack.Input {
	return stack.Input{
		App: "shop", Files: []stack.File{{Path: "compose.yml", Content: []byte(compose)}},
		Routes: []stack.Route{{Host: "example.org", Service: "web", Port: 8000}},
	}
}

func TestLoad_WhatReachesBeyondTheContainerNeedsItsPermission(t *testing.T) {
	t.Parallel()
	const options = "services:\n  web:\n    image: x\n    logging:\n      options: {OPTIONS}\n      driver: "
	const volumes = "services: {web: {image: x, volumes: ['data:/d']}}\nvolumes:\n  data:\n    "
	for compose, want := range map[string]struct {
		at      string
		missing stack.Permission
	}{
		strings.Replace(options, "OPTIONS", "fluentd-address: 'unix:///var/run/docker.sock'", 1) + "fluentd": {"compose.yml:6: ", "log:fluentd:unix:///var/run/docker.sock"},
		strings.Replace(options, "OPTIONS", "syslog-address: 'tcp://10.0.0.9:514'", 1) + "syslog":            {"compose.yml:6: ", "log:syslog:tcp://10.0.0.9:514"},
		strings.Replace(options, "OPTIONS", "tag: a", 1) + "gelf":                                            {"compose.yml:6: ", "log:gelf"},
		strings.Replace(options, "OPTIONS", "splunk-url: 'https://10.0.0.9', splunk-token: b", 1) + "splunk": {"compose.yml:6: ", "log:splunk:https://10.0.0.9"},
		strings.Replace(options, "OPTIONS", "loki-url: 'http://127.0.0.1:9', a-address: b", 1) + "loki":      {"compose.yml:6: ", "log:loki:b,http://127.0.0.1:9"},
		volumes + "external: true":                 {"compose.yml:4: ", "volume:data"},
		volumes + "external: true\n    name: bank": {"compose.yml:4: ", "volume:bank"},
	} {
		in := appOf(compose)
		_, err := stack.Load(t.Context(), in)
		var refusal *stack.Refusal
		if !errors.As(err, &refusal) || !refusal.OnlyMissing() || !strings.Contains(err.Error(), want.at) {
			t.Errorf("%s\n%v", compose, err)
			continue
		}
		if diff := cmp.Diff([]stack.Permission{want.missing}, refusal.Missing()); diff != "" {
			t.Errorf("%s\n%s", compose, diff)
		}
		in.Allowed = []string{string(want.missing)}
		got, err := stack.Load(t.Context(), in)
		if err != nil {
			t.Errorf("%s: allowed, and %v", want.missing, err)
		}
		if diff := cmp.Diff([]stack.Permission{want.missing}, got.Permissions()); diff != "" {
			t.Errorf("%s\n%s", compose, diff)
		}
	}
}

func TestLoad_LogsThatStayWithTheEngineNeedNoPermission(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{"", "json-file", "local", "none", "journald"} {
		in := appOf("services: {web: {image: x, logging: {driver: '" + driver + "', options: {tag: a}}}}")
		if _, err := stack.Load(t.Context(), in); err != nil {
			t.Errorf("%q: %v", driver, err)
		}
	}
}

func TestLoad_NothingAllowsWhatWouldBeAnotherThingThanThePermissionSays(t *testing.T) {
	t.Parallel()
	const volume = "services: {web: {image: x, volumes: ['data:/d']}}\nvolumes: {data: {driver_opts: {type: cifs, device: //server/share, o: '"
	for compose, want := range map[string]string{
		volume + "addr=10.0.0.2,source=//other/share'}}}":                                                   "compose.yml:2: volumes.data.driver_opts: such a volume is not made here",
		volume + "addr=10.0.0.2,unc=//other/share'}}}":                                                      "such a volume is not made here",
		volume + "addr=10.0.0.2,mountaddr=10.0.0.3'}}}":                                                     "such a volume is not made here",
		"services: {web: {image: x, logging: {driver: syslog, options: {syslog-tls-key: /root/.ssh/id}}}}":  "compose.yml:1: service web: logging.driver: the driver, its address or an option that names a file cannot be allowed",
		"services: {web: {image: x, logging: {driver: 'a b'}}}":                                             "cannot be allowed",
		"services: {web: {image: x, networks: [n]}}\nnetworks: {n: {external: true, name: swingbridge-a}}":  "networks.n.external: a network of the engine's own, or of another app",
		"services: {web: {image: x}, db: {image: y, network_mode: host, sysctls: {net.core.somaxconn: 1}}}": "sysctls: net.core.somaxconn is the host's here",
		"services: {web: {image: x, ipc: host, sysctls: {kernel.shmmax: 1}}}":                               "sysctls: kernel.shmmax is the host's here",
		"services: {web: {image: x, networks: [n]}}\nnetworks: {n: {labels: {DEV.swingbridge.app: bank}}}":  "networks.n.labels: labels that begin with dev.swingbridge.",
		"services: {web: {extends: {file: /etc/x.yml, service: a}}}":                                        "compose.yml:1: extends: must be a file of the repository",
		"services: {web: {extends: {file: inner/x.yml, service: a}}}":                                       "inner/x.yml:1: extends: must be a file of the repository",
		"services: {web: {extends: {file: self.yml, service: s}}}":                                          "self.yml:1: extends: s of self.yml extends itself",
		"include: ['https://example.org/x.yml']\nservices: {web: {image: x}}":                               "compose.yml:1: include: must be a file of the repository",
		"services: {web: {image: x, tmpfs: ['/run:size=1m,bind']}}":                                         "compose.yml:1: service web: tmpfs: a tmpfs has the options",
	} {
		in := appOf(compose)
		in.Read = func(name string) ([]byte, error) {
			if name == "self.yml" {
				return []byte("services: {s: {extends: {file: ./self.yml, service: s}}}"), nil
			}
			return []byte("services: {a: {extends: {file: /b.yml, service: a}}}"), nil
		}
		in.Allowed = []string{"mount:cifs:10.0.0.2,//server/share", "host:network", "host:ipc", "log:syslog"}
		_, err := stack.Load(t.Context(), in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nis %v, want %s", compose, err, want)
		}
	}
}

// A key that a later file takes away is not looked at, and compose-go follows
// the files that it names nevertheless.
func TestLoad_WhatTheHostHasMakesNoDifference(t *testing.T) {
	t.Parallel()
	there := filepath.Join(t.TempDir(), "host.yml")
	if err := os.WriteFile(there, []byte("services: {a: {image: hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, keys := range []string{"{a: {extends: {file: FILE, service: a}}}", "{a: {extends: {file: FILE}}}"} {
		var said []string
		for _, file := range []string{there, there + ".not"} {
			in := appOf("jobs: " + strings.Replace(keys, "FILE", file, 1) + "\nservices: {web: {image: x}}")
			in.Overlay = "jobs: !reset null"
			_, err := stack.Load(t.Context(), in)
			text := "loaded"
			if err != nil {
				text = err.Error()
			}
			said = append(said, strings.ReplaceAll(text, file, "FILE"))
		}
		if said[0] != said[1] {
			t.Errorf("a file of the host that is there: %s\nand one that is not: %s", said[0], said[1])
		}
	}
}

func TestLoad_TakesTheLabelsForSELinuxOfNamedVolumes(t *testing.T) {
	t.Parallel()
	for options, notes := range map[string]int{"z": 0, "ro,z": 0, "Z": 1} {
		got, err := stack.Load(t.Context(), appOf("services: {web: {image: x, volumes: ['data:/d:"+options+"']}}\nvolumes: {data: }"))
		if err != nil || len(got.Notes) != notes || got.Services[0].Mounts[0].Volume != "data" || got.Services[0].Mounts[0].ReadOnly != strings.HasPrefix(options, "ro") {
			t.Errorf("%s: %v, %+v", options, err, got)
		}
	}
	for _, options := range []string{"z,rshared", "z,what", "cached"} {
		if _, err := stack.Load(t.Context(), appOf("services: {web: {image: x, volumes: ['data:/d:"+options+"']}}\nvolumes: {data: }")); err == nil {
			t.Errorf("%s of a named volume was taken", options)
		}
	}
}

func TestLoad_NoGraceIsTheLeastAndNotTheDefault(t *testing.T) {
	t.Parallel()
	got, err := stack.Load(t.Context(), appOf("services: {web: {image: x, stop_grace_period: 0s}}"))
	if err != nil || got.Services[0].StopGrace.Seconds() != 1 {
		t.Errorf("%v, %v", err, got.Services)
	}
}

func TestLoad_SaysThatARestartPolicyHasNoEffect(t *testing.T) {
	t.Parallel()
	for policy, notes := range map[string]int{`"no"`: 1, "on-failure:3": 1, "always": 0, "unless-stopped": 0} {
		got, err := stack.Load(t.Context(), appOf("services: {web: {image: x, restart: "+policy+"}}"))
		if err != nil || len(got.Notes) != notes {
			t.Errorf("%s: %v, %q", policy, err, got.Notes)
		}
	}
}

// A release is kept as JSON, which would exchange what is no UTF-8.
func TestLoad_RefusesTextsThatCouldNotBeKept(t *testing.T) {
	t.Parallel()
	for keys, want := range map[string]string{
		"image: x, env_file: a.env":                               "service web: env_file: the file is not in UTF-8",
		"image: x, label_file: a.labels":                          "service web: label_file: the file is not in UTF-8",
		"build: {context: src, dockerfile: ../docker/Dockerfile}": "service web: build.dockerfile: docker/Dockerfile is not in UTF-8",
	} {
		in := appOf("services: {web: {" + keys + "}}")
		in.Read = func(name string) ([]byte, error) {
			if name == ".env" {
				return nil, fs.ErrNotExist
			}
			return []byte("A=caf\xe9"), nil
		}
		if _, err := stack.Load(t.Context(), in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", keys, err)
		}
	}
}

// A file with a version is written again for compose-go without it.
func TestLoad_FoldedTextSaysTheSameBesideWhatIsTakenOut(t *testing.T) {
	t.Parallel()
	const service = "services:\n  web:\n    image: x\n    environment:\n      SCRIPT: >\n        if a\n          then b\n        c\n\n        d\n      OTHER: |\n        a\n          b\n"
	plain, err := stack.Load(t.Context(), appOf(service))
	if err != nil {
		t.Fatal(err)
	}
	got, err := stack.Load(t.Context(), appOf("version: '3.8'\n"+service))
	if err != nil || got.Services[0].Env["SCRIPT"] != "if a\n  then b\nc\nd\n" {
		t.Errorf("%v, %+v", err, got.Services)
	}
	if diff := cmp.Diff(plain.Services[0].Env, got.Services[0].Env); diff != "" {
		t.Error(diff)
	}
}
