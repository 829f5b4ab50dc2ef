# Build:  docker build -t equipoise .
# Run:    docker run --rm -p 8080:8080 -p 127.0.0.1:9900:9900 \
#             -v ./equipoise.toml:/etc/equipoise/equipoise.toml:ro --read-only equipoise
# Reload: docker kill --signal HUP CONTAINER   (mount the directory instead of the file if your editor replaces files)

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
# The caches live outside the layers; the binary is copied out because a cache is gone after its RUN.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --locked --release --bin equipoise \
    && install -D -m 0755 target/release/equipoise /out/equipoise

FROM debian:bookworm-slim
COPY --from=build /out/equipoise /usr/local/bin/equipoise
# Whom backends with TLS are believed by, where the file names nobody else.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY config/docker.toml /etc/equipoise/equipoise.toml
# A number, not a name: Kubernetes' runAsNonRoot can only check numbers.
USER 65532:65532
EXPOSE 8080 9900
# TERM drains: give the container more time than [server] drain_timeout (docker stop --time, stop_grace_period,
# terminationGracePeriodSeconds); Docker's own 10 s are less than the default of 30 s.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["/usr/local/bin/equipoise", "status", "--admin", "127.0.0.1:9900"]
ENTRYPOINT ["/usr/local/bin/equipoise"]
CMD ["run", "-c", "/etc/equipoise/equipoise.toml"]
