#!/usr/bin/env bash
# Opens a shell in the container, with the checkout writable; VSCode can attach to it. With arguments: runs them there.
# A2F_VIEWER_PORT=8123 lets this machine's browser, and no other machine, reach a viewer in it (docs/viewer.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

exec python3 -m runners.launch shell "$@"
