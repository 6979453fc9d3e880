package docker

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// Labels that everything made here carries as far as they apply. The first six
// are public, see the contract.
const (
	labelInstallation = "dev.swingbridge.installation"
	labelApp          = "dev.swingbridge.app"
	labelService      = "dev.swingbridge.service"
	labelColor        = "dev.swingbridge.color"
	labelDeployment   = "dev.swingbridge.deployment"
	labelCommit       = "dev.swingbridge.commit"
	labelAppID        = "dev.swingbridge.app_id"
	labelRepo         = "dev.swingbridge.repo"
	labelReplica      = "dev.swingbridge.replica"
	labelRole         = "dev.swingbridge.role"
	labelPurpose      = "dev.swingbridge.purpose"
	labelFingerprint  = "dev.swingbridge.fingerprint"
	// labelSpec is the hash of all that a container was made of. Only
	// containers made here have it: a container that somebody runs by hand from
	// one of our images inherits the image's labels, but not this one.
	labelSpec    = "dev.swingbridge.spec"
	labelPrefix  = "dev.swingbridge."
	labelVersion = "org.opencontainers.image.revision"
	labelSource  = "org.opencontainers.image.source"
)

func isInstallation(s string) bool { return len(s) <= 16 && fits(s, `^[a-z0-9]+$`) }

// isName reports whether the engine accepts it as the name of a container, a
// network or a volume.
func isName(s string) bool { return len(s) <= 200 && fits(s, `^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`) }

func isApp(s string) bool { return len(s) <= 31 && fits(s, `^[a-z][a-z0-9-]*$`) }

// isService keeps services to 63 characters, since their names are host names.
func isService(s string) bool { return len(s) <= 63 && fits(s, `^[a-zA-Z0-9][a-zA-Z0-9._-]*$`) }

// isPath reports whether it can be a component of an image's repository name as
// it is; doubled separators, which only some engines accept, are left to us.
func isPath(s string) bool { return len(s) <= 63 && fits(s, `^[a-z0-9]+([._-][a-z0-9]+)*$`) }

// isKey reports whether it can be the beginning of a tag as it is.
func isKey(s string) bool { return len(s) <= 100 && fits(s, `^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$`) }

func isOurLabel(label string) bool { return strings.HasPrefix(strings.ToLower(label), labelPrefix) }

// isForeignNetwork reports whether a network of that name can be one that an
// operator made.
func isForeignNetwork(name string) bool {
	switch name {
	case "host", "none", "bridge", "default":
		return false
	}
	return isName(name) && !strings.HasPrefix(name, "swingbridge-")
}

func fits(s, pattern string) bool { return regexp.MustCompile(pattern).MatchString(s) }

// EdgeName is the network where the proxy reaches containers.
func (e *Engine) EdgeName() string { return "swingbridge-edge-" + e.installation }

// AppNetwork is one of the app's networks, where its services find each other:
// key names it within the app and is empty for the default one. The name of an
// app called "edge" is another one than the edge's.
func (e *Engine) AppNetwork(app, key string) string {
	if app == "edge" {
		app = "app_edge" // no app's name has an underscore
	}
	if key != "" {
		app += "." + keySafe(key) // nor a dot
	}
	return "swingbridge-" + app + "-" + e.installation
}

// ourNetwork reports whether a network of that name can be one of ours. It keeps
// "host", "container:ID" and other installations' networks out of containers.
func (e *Engine) ourNetwork(name string) bool {
	return isName(name) &&
		strings.HasPrefix(name, "swingbridge-") && strings.HasSuffix(name, "-"+e.installation)
}

// containerName is the same for the same replica of the same service of the same
// deployment, always. A kept service's container is named by what it is made of
// instead.
func (e *Engine) containerName(o pipeline.ContainerOrder) string {
	parts := []string{o.Owner.App, o.Owner.Service}
	if o.Fingerprint != "" {
		parts = append(parts, o.Fingerprint[:min(len(o.Fingerprint), 12)])
	} else {
		parts = append(parts, string(o.Owner.Color), o.Owner.Deployment)
	}
	parts = append(parts, e.installation)
	if o.Purpose != "" {
		parts = append(parts, o.Purpose)
	}
	if o.Replica > 0 {
		parts = append(parts, strconv.Itoa(o.Replica))
	}
	return strings.Join(parts, "-")
}

// volumeName is the engine's name of a volume that outlives deployments.
func (e *Engine) volumeName(app, volume string) string {
	return app + "_" + volume + "-" + e.installation
}

// imageName is the tag of what a build with that key makes.
func (e *Engine) imageName(app, service, key string) string {
	return "swingbridge/" + pathSafe(app) + "/" + pathSafe(service) + ":" + keySafe(key) + "-" + e.installation
}

// ourTag reports whether a tag was given by imageName, to an image of the app.
func (e *Engine) ourTag(tag string) bool {
	return strings.HasPrefix(tag, "swingbridge/") && strings.HasSuffix(tag, "-"+e.installation)
}

// pathSafe makes a component of a repository name. What has to be changed gets a
// part of its hash, so that two names never become one.
func pathSafe(name string) string {
	if isPath(name) {
		return name
	}
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		}
	}
	return "x" + b.String()[:min(b.Len(), 40)] + "__" + shortHash(name)
}

func keySafe(key string) string {
	if isKey(key) {
		return key
	}
	return "x" + shortHash(key)
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:10])
}

// ours starts the labels of a thing: what Options.Labels asked for, then whose
// installation's it is.
func (e *Engine) ours() map[string]string {
	labels := map[string]string{}
	for k, v := range e.extra {
		labels[k] = v
	}
	labels[labelInstallation] = e.installation
	return labels
}

// ownerLabels are all labels of a container. Each is set even if it is empty, or
// a label of the image would show through.
func (e *Engine) ownerLabels(order pipeline.ContainerOrder) map[string]string {
	o, labels := order.Owner, e.ours()
	labels[labelApp] = o.App
	labels[labelAppID] = o.AppID
	labels[labelService] = o.Service
	labels[labelRole] = string(o.Role)
	labels[labelColor] = string(o.Color)
	labels[labelDeployment] = o.Deployment
	labels[labelCommit] = o.Commit
	labels[labelRepo] = o.Repo
	labels[labelReplica] = strconv.Itoa(order.Replica)
	labels[labelPurpose] = order.Purpose
	labels[labelFingerprint] = order.Fingerprint
	return labels
}

func ownerOf(labels map[string]string) pipeline.Owner {
	return pipeline.Owner{
		App: labels[labelApp], AppID: labels[labelAppID], Service: labels[labelService],
		Color: pipeline.Color(labels[labelColor]), Deployment: labels[labelDeployment],
		Commit: labels[labelCommit], Repo: labels[labelRepo],
		Role: cmp.Or(stack.Role(labels[labelRole]), stack.Web), // there was no other before the label was
	}
}
