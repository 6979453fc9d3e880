package docker

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// dockerfile is what must be known of a Dockerfile before the builder reads it.
type dockerfile struct {
	first  int // line of the first FROM, counted from 1; 0: there is none
	stages []buildStage
	newer  []string // things that the builder inside older engines does not know
	syntax bool     // names a frontend to be pulled from a registry
}

// buildStage is one FROM with what it refers to.
type buildStage struct {
	name    string
	uses    []string // names or numbers of other stages, or images
	secrets []secretMount
}

type secretMount struct {
	id       string
	line     int
	optional bool // says required=false
}

// readDockerfile looks through a Dockerfile. What it cannot parse it leaves to
// the builder, which knows better and says why.
func readDockerfile(content []byte) dockerfile {
	var d dockerfile
	if syntax, _, _, ok := parser.DetectSyntax(content); ok && syntax != "" {
		d.syntax = true
	}
	result, err := parser.Parse(bytes.NewReader(content))
	if err != nil {
		return d
	}
	for _, node := range result.AST.Children {
		d.read(node)
	}
	return d
}

func (d *dockerfile) read(node *parser.Node) {
	instruction := strings.ToUpper(node.Value)
	if len(node.Heredocs) > 0 {
		d.newer = append(d.newer, fmt.Sprintf("the heredoc of line %d", node.StartLine))
	}
	if instruction == "FROM" {
		if len(d.stages) == 0 {
			d.first = node.StartLine
		}
		d.stages = append(d.stages, newStage(node))
		return
	}
	if len(d.stages) == 0 {
		return
	}
	stage := &d.stages[len(d.stages)-1]
	for _, flag := range node.Flags {
		name, value, _ := strings.Cut(strings.TrimLeft(flag, "-"), "=")
		switch {
		case name == "from":
			stage.uses = append(stage.uses, value)
		case name == "link" && value != "false":
			d.newer = append(d.newer, fmt.Sprintf("%s --link of line %d", instruction, node.StartLine))
		case name == "mount":
			stage.readMount(value, node.StartLine)
		}
	}
}

func newStage(node *parser.Node) buildStage {
	var words []string
	for next := node.Next; next != nil; next = next.Next {
		words = append(words, next.Value)
	}
	var stage buildStage
	if len(words) > 0 {
		stage.uses = words[:1]
	}
	if len(words) == 3 && strings.EqualFold(words[1], "as") {
		stage.name = words[2]
	}
	return stage
}

func (s *buildStage) readMount(value string, line int) {
	options := map[string]string{}
	for _, part := range strings.Split(value, ",") {
		key, v, _ := strings.Cut(part, "=")
		options[strings.ToLower(key)] = v
	}
	if from := options["from"]; from != "" {
		s.uses = append(s.uses, from)
	}
	if options["type"] != "secret" {
		return
	}
	id := options["id"]
	for _, other := range []string{"target", "dst", "destination"} {
		if id == "" && options[other] != "" {
			id = options[other][strings.LastIndex(options[other], "/")+1:]
		}
	}
	s.secrets = append(s.secrets, secretMount{id: id, line: line, optional: options["required"] == "false"})
}

// secretsFor lists the secrets of the stages that the target needs; an empty
// target is the last stage.
func (d dockerfile) secretsFor(target string) []secretMount {
	last := len(d.stages) - 1
	if target != "" {
		last = d.find(target, len(d.stages))
	}
	if last < 0 {
		return nil
	}
	needed := map[int]bool{last: true}
	for i := last; i >= 0; i-- { // a stage refers to earlier ones only
		if !needed[i] {
			continue
		}
		for _, use := range d.stages[i].uses {
			if other := d.find(use, i); other >= 0 {
				needed[other] = true
			}
		}
	}
	var out []secretMount
	for i, stage := range d.stages {
		if needed[i] {
			out = append(out, stage.secrets...)
		}
	}
	return out
}

// counts reports whether a stage is named by its number.
func (d dockerfile) counts() bool {
	for _, stage := range d.stages {
		for _, use := range stage.uses {
			if _, err := strconv.Atoi(use); err == nil {
				return true
			}
		}
	}
	return false
}

// find returns the stage before the given one that a reference means, -1 if it
// means an image.
func (d dockerfile) find(ref string, before int) int {
	for i := before - 1; i >= 0; i-- {
		if strings.EqualFold(d.stages[i].name, ref) && ref != "" {
			return i
		}
	}
	if n, err := strconv.Atoi(ref); err == nil && n >= 0 && n < before {
		return n
	}
	return -1
}

// missing names the secrets that the Dockerfile mounts and the build has not.
// Without this check they would silently be empty.
func (d dockerfile) missing(target string, given []string) []string {
	var out []string
	for _, s := range d.secretsFor(target) {
		if !s.optional && !slices.Contains(given, s.id) && !strings.Contains(s.id, "$") {
			out = append(out, fmt.Sprintf("%s (line %d)", s.id, s.line))
		}
	}
	return out
}
