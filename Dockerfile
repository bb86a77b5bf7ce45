# The image of all three programs, for people with Docker: `docker build -t fhir-operator.dev/fhir-operator:0.1.0 .`
# `cargo xtask image` writes the same content without Docker.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
ARG PROFILE=release
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    cargo build --locked --workspace --bins --profile "$PROFILE" \
    && install -D -t /programs "target/$PROFILE/fhir-operator" "target/$PROFILE/fhir-server" "target/$PROFILE/iot-connector"

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /programs/ /usr/local/bin/
USER 65532:65532
