package docker

import (
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
)

// insideFile is brought up by Docker Compose and by us, and both are asked what
// their processes see: mounts and files are written down in other words.
const insideFile = `services:
  web:
    image: IMAGE
    init: true
    user: "0:0"
    group_add: ["1001"]
    ulimits: {nofile: {soft: 2000, hard: 4000}, core: 0}
    mem_limit: 64m
    tmpfs: ["/cache:size=64m,mode=755", "/open:exec,uid=1000"]
    shm_size: 8m
    volumes:
      - data:/data
      - data:/read:ro
      - scratch:/scratch
      - elsewhere:/elsewhere
      - ./conf:/conf:ro
      - ./conf/one.txt:/one.txt:ro
      - ./conf/run.sh:/run.sh:ro,z
      - FOLDER:/host
      - FOLDER/one.txt:/host.txt:ro
      - {type: bind, source: FOLDER, target: /private, read_only: true, bind: {propagation: private}}
      - {type: tmpfs, target: /t, tmpfs: {size: 1048576}}
      - {type: volume, source: data, target: /plain, read_only: true, volume: {nocopy: true}}
      - /anonymous
    secrets: [key, {source: key, target: other}]
volumes:
  data: {}
  scratch: {driver_opts: {type: tmpfs, device: tmpfs, o: "size=2m,uid=1000"}}
  elsewhere: {driver_opts: {type: none, o: bind, device: FOLDER}}
secrets:
  key: {file: ./conf/one.txt}
`

func insideFiles() map[string]string {
	return map[string]string{"conf/one.txt": "one", "conf/run.sh": "#!/bin/sh"}
}

// inside says what a process in the container sees.
func (w *world) inside(c pipeline.Container) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(w.get(c, "/file?path=/proc/self/mountinfo")) {
		before, after, _ := strings.Cut(line, " - ")
		if words := strings.Fields(before); len(words) > 5 && !strings.HasPrefix(words[4], "/proc") && !strings.HasPrefix(words[4], "/sys") && words[4] != "/" {
			kind, _, _ := strings.Cut(after, " ")
			flags := strings.Split(words[5], ",")
			slices.Sort(flags)
			shared := slices.DeleteFunc(words[6:], func(s string) bool { return strings.HasPrefix(s, "peer") })
			for i, word := range shared {
				shared[i], _, _ = strings.Cut(word, ":")
			}
			out["mount "+words[4]] = kind + " " + strings.Join(flags, ",") + " " + strings.Join(shared, ",")
			if kind == "tmpfs" && words[4] != "/dev" && !strings.HasPrefix(words[4], "/dev/") {
				out["tmpfs "+words[4]] = strings.TrimSpace(strings.TrimPrefix(after, "tmpfs tmpfs "))
			}
			out["stat "+words[4]] = w.get(c, "/stat?path="+words[4])
		}
	}
	for _, file := range []string{"/proc/self/limits", "/one.txt", "/run.sh", "/host.txt", "/conf/run.sh", "/host/one.txt", "/private/one.txt", "/elsewhere/one.txt", "/run/secrets/key", "/run/secrets/other", "/proc/1/cmdline"} {
		out[file] = w.get(c, "/file?path="+file)
	}
	for line := range strings.Lines(w.get(c, "/file?path=/proc/self/status")) {
		for _, name := range []string{"Uid:", "Gid:", "Groups:", "CapEff:", "CapBnd:", "Seccomp:"} {
			if strings.HasPrefix(line, name) {
				out[name] = strings.Join(strings.Fields(line), " ")
			}
		}
	}
	return out
}

func TestEnsure_ProcessesSeeWhatTheyDoUnderDockerCompose(t *testing.T) {
	t.Parallel()
	folders, host := t.TempDir(), t.TempDir()
	w := setupWith(t, Options{Folders: folders})
	w.networks()
	image := "inside-" + w.installation + ":1"
	if err := w.api.ImageTag(t.Context(), w.image, image); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(host, "one.txt"), []byte("the host's"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := strings.NewReplacer("IMAGE", image, "FOLDER", host).Replace(insideFile)
	files := insideFiles()
	files["compose.yml"] = file
	made := w.compose(files, nil, "-d")
	there, err := w.api.ContainerInspect(t.Context(), made["web"])
	if err != nil {
		t.Fatal(err)
	}
	theirs := pipeline.Container{}
	for _, n := range there.NetworkSettings.Networks {
		theirs.Edge = netip.MustParseAddr(n.IPAddress)
	}
	loaded := loadAll(t, file, insideFiles())
	o := w.order("d1", 10)
	o.Service, o.Volumes, o.Allowed = loaded.Services[0], loaded.Volumes, words(loaded.Permissions())
	for i := range o.Service.Mounts {
		if b := o.Service.Mounts[i].Bind; b != nil && b.Repo != "" {
			b.Placed = w.placed(folders, b.Repo)
		}
	}
	ours := w.run(o)

	want, got := w.inside(theirs), w.inside(ours)
	// Ours are files of the container's own, not mounts of the host's.
	for _, secret := range []string{"/run/secrets/key", "/run/secrets/other"} {
		delete(want, "mount "+secret)
		delete(want, "stat "+secret)
	}
	for _, said := range differs(want, got, nil) {
		t.Error(said)
	}
	if len(got) < 40 || got["/run/secrets/other"] != "one" || got["/conf/run.sh"] != "#!/bin/sh" {
		t.Errorf("%d things were seen: %v", len(got), slices.Sorted(maps.Keys(got)))
	}
}

// placed copies what the commit has at a path, as the app's folders do.
func (w *world) placed(folders, repo string) string {
	w.t.Helper()
	at := filepath.Join(folders, w.app.ID, "files", strings.ReplaceAll(repo, "/", "_"))
	for name, content := range insideFiles() {
		rest, below := strings.CutPrefix(name, repo)
		if !below {
			continue
		}
		file := filepath.Join(at, rest)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	return at
}
