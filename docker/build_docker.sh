#!/usr/bin/env bash
# Builds the image that the run_*.py commands use. Arguments go to `docker build`, for example
#   ./docker/build_docker.sh --build-arg BASE_IMAGE=debian:12
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Some distributions' Docker comes without BuildKit's client.
if ! docker buildx version >/dev/null 2>&1; then export DOCKER_BUILDKIT=0; fi

exec docker build \
    --file docker/Dockerfile \
    --tag "${A2F_IMAGE:-audio2face-framework-env}" \
    --label "audio2face.packages=$(python3 -m runners.launch packages)" \
    "$@" .
