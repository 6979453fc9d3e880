package stack

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// store says why a built service looks like a data store, which a deployment
// must leave alone; empty if it does not.
func (s *service) store() string {
	words := strings.FieldsFunc(s.name, func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	if len(words) > 0 && isStore(words[len(words)-1]) {
		return fmt.Sprintf("it is called %s, as a data store", s.name)
	}
	if base := s.base(); isStore(base) {
		return fmt.Sprintf("its Dockerfile begins with %s, a data store", base)
	}
	for _, entry := range s.from.Expose {
		port, _, _ := strings.Cut(entry, "/")
		if slices.Contains(storePorts(), port) {
			return fmt.Sprintf("it exposes %s, a data store's port", port)
		}
	}
	for _, p := range s.from.Ports {
		if port := strconv.Itoa(int(p.Target)); slices.Contains(storePorts(), port) {
			return fmt.Sprintf("it listens on %s, a data store's port", port)
		}
	}
	return ""
}

func isStore(name string) bool {
	return slices.Contains([]string{
		"redis", "valkey", "keydb", "dragonfly", "memcached",
		"db", "database", "postgres", "postgresql", "postgis", "pgvector", "pgautoupgrade", "timescaledb", "mysql", "mariadb", "percona",
		"mongo", "mongodb", "couchdb", "cassandra", "scylla", "clickhouse", "influxdb", "neo4j", "cockroach", "surrealdb",
		"rabbitmq", "nats", "kafka", "zookeeper", "etcd", "minio",
		"elasticsearch", "opensearch", "solr", "meilisearch", "typesense", "qdrant", "weaviate",
	}, strings.ToLower(strings.TrimRight(name, "0123456789")))
}

// storePorts are ports that only data stores use.
func storePorts() []string {
	return []string{"3306", "5432", "5672", "6379", "9042", "9200", "11211", "27017"}
}

// base is the name of the image that the Dockerfile begins with, without
// registry and tag; empty where that cannot be known.
func (s *service) base() string {
	b := s.from.Build
	text := b.DockerfileInline
	if text == "" {
		content, err := s.l.read(path.Join(s.cleanJoin(b.Context), dockerfileOf(b)))
		if err != nil {
			return "" // said where the build is converted
		}
		text = string(content)
	}
	from, last := map[string]string{}, ""
	for line := range strings.Lines(text) {
		words := slices.DeleteFunc(strings.Fields(line), func(w string) bool { return strings.HasPrefix(w, "--") })
		if len(words) < 2 || !strings.EqualFold(words[0], "FROM") {
			continue
		}
		last = words[1]
		if earlier, ok := from[strings.ToLower(last)]; ok {
			last = earlier
		}
		if len(words) == 4 && strings.EqualFold(words[2], "AS") {
			from[strings.ToLower(words[3])] = last
		}
	}
	if target, ok := from[strings.ToLower(b.Target)]; ok {
		last = target
	}
	return imageName(last)
}

// imageName is the last part of an image reference, without tag and digest.
func imageName(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	name, _, _ := strings.Cut(path.Base(ref), ":")
	if name == "." || name == "/" {
		return ""
	}
	return name
}
