# syntax=docker/dockerfile:1
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin chainbell && cp target/release/chainbell /usr/local/bin/chainbell

FROM debian:bookworm-slim
# The certificates are for nodes and webhooks over TLS.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/chainbell --shell /usr/sbin/nologin chainbell
COPY --from=build /usr/local/bin/chainbell /usr/local/bin/chainbell
COPY config /etc/chainbell
COPY abi /etc/chainbell/abi

# The embedded store lands here when no other is configured.
USER chainbell
WORKDIR /var/lib/chainbell
VOLUME /var/lib/chainbell
EXPOSE 8650
# SIGTERM stops it in order; give it its grace time (`docker stop --time`).
ENTRYPOINT ["chainbell"]
CMD ["run", "--config", "/etc/chainbell/chainbell.toml"]
