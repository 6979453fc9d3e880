package stack

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// origin is the name of the image that the service runs, or that its Dockerfile
// begins with.
func (s *service) origin() string {
	if s.from.Build != nil {
		return s.base()
	}
	return imageName(s.from.Image)
}

// shells are images without a program of their own that would go on running.
func shells() []string { return []string{"alpine", "bash", "busybox", "debian", "ubuntu"} }

// clients are images of programs that do one thing and end.
func clients() []string { return []string{"aws-cli", "aws-cli-docker", "curl", "geoipupdate", "mc"} }

// lasts reports whether the files say when the service is started again, or that
// it serves others, so that it is meant to go on running.
func (s *service) lasts() bool {
	f := s.from
	return f.Restart != "" || f.Deploy != nil && f.Deploy.RestartPolicy != nil ||
		len(f.Ports)+len(f.Expose) > 0 || f.HealthCheck != nil && !f.HealthCheck.Disable
}

// byHand says why a service is a person's to call; empty if it is not. As the
// files have it, it would do nothing but end.
func (s *service) byHand() string {
	name := s.origin()
	if s.lasts() || len(s.from.Command)+len(s.from.Entrypoint) > 0 || !slices.Contains(clients(), name) {
		return ""
	}
	return fmt.Sprintf("it is %s, a tool that is called by hand", name)
}

// mayEnd is the restart policy of a kept service that prepares something, as
// owners of files do: Compose would not start it again either. All else goes on
// running, so that a database without a policy comes back.
func (s *service) mayEnd() string {
	given := len(s.from.Command)+len(s.from.Entrypoint) > 0
	if s.lasts() || !given || !slices.Contains(append(shells(), clients()...), s.origin()) {
		return ""
	}
	s.note("command", "says no restart: once it has ended well, it is not started again")
	return types.RestartPolicyNo
}

// certifies reports whether the service does nothing but get certificates.
func (s *service) certifies() bool {
	if s.from.Build == nil && path.Base(path.Dir(s.from.Image)) == "certbot" {
		return true
	}
	name := s.origin()
	return slices.Contains([]string{"certbot", "acme.sh"}, name) || strings.HasSuffix(name, "acme-companion") ||
		strings.HasSuffix(name, "letsencrypt-nginx-proxy-companion")
}

// assignCertificates leaves out what gets certificates for a front: that one is
// not started, and Swingbridge gets its own.
func (c *conversion) assignCertificates() {
	all := c.sorted()
	if !slices.ContainsFunc(all, func(s *service) bool { return s.front }) {
		return
	}
	for _, s := range all {
		if s.role == "" && s.certifies() {
			s.role, s.front, s.forFront = Task, true, true
		}
	}
}
