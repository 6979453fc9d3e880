# Swingbridge's image: one static program and the certificates of public
# authorities. No shell, no package manager, nothing to update but itself.
#
#   docker build -t swingbridge:latest --build-arg VERSION="$(git describe --tags --always)" .
#
# It runs as it is with both of Docker's builders and needs no syntax image.
ARG GO_IMAGE=golang:1.26-bookworm

FROM ${GO_IMAGE} AS build
WORKDIR /src
# Modules first: this layer stays as long as these two files do.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG COMMIT=unknown
# The same flags as in the Makefile; image_test.go compares them.
RUN CGO_ENABLED=0 go build -trimpath -tags nobadger,nomysql,nopgx,grpcnotrace -gcflags=cel.dev/...=-l -gcflags=github.com/moby/buildkit/...=-l -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" -o /out/swingbridge ./cmd/swingbridge

FROM scratch
ARG VERSION=dev
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="Swingbridge" \
      org.opencontainers.image.description="Continuous deployment for Docker hosts, without a lost request" \
      org.opencontainers.image.source="https://github.com/swingbridge/swingbridge" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/swingbridge /swingbridge
# Root without capabilities: on the host's network the engine lets no other user
# bind a port below 1024, NET_BIND_SERVICE or not. compose.yml takes the rest away.
USER 0:0
# Documentation only, since both services use the host's network.
EXPOSE 80 443 8080
ENTRYPOINT ["/swingbridge"]
CMD ["serve"]
