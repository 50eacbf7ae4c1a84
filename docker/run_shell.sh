#!/usr/bin/env bash
# Opens a shell in the container, with the checkout writable; VSCode can attach to it. With arguments: runs them there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

exec python3 -m runners.launch shell "$@"
