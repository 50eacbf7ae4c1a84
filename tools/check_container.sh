#!/usr/bin/env bash
# Builds the image on a base image and runs the demo project's four commands in it, as a user would.
#
#   tools/check_container.sh [BASE_IMAGE [docker build options...]]
#
# Without BASE_IMAGE the Dockerfile's own base is used. A2F_CHECK_FOLDER keeps data set and runs (default: a new folder
# that is removed); A2F_CHECK_PROJECT is the project to run (default demo-regression). Exit status 0 when all went well.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

base=()
if [ $# -gt 0 ]; then
    base=(--build-arg "BASE_IMAGE=$1")
    shift
fi
project=${A2F_CHECK_PROJECT:-demo-regression}
export A2F_IMAGE=audio2face-framework-env:check A2F_RUNTIME=docker
./docker/build_docker.sh "${base[@]}" "$@"

folder=${A2F_CHECK_FOLDER:-}
if [ -z "$folder" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi
mkdir -p "$folder/datasets" "$folder/workspace"
export A2F_DATASETS_ROOT=$folder/datasets

# Data sets are read-only in the container, so the one that makes the demo's has them as its workspace.
A2F_WORKSPACE_ROOT=$folder/datasets ./docker/run_shell.sh python tools/make_demo_dataset.py /workspace/demo --actor demo

export A2F_WORKSPACE_ROOT=$folder/workspace
python3 run_preproc.py "$project" demo
python3 run_train.py "$project"
python3 run_deploy.py "$project" latest
python3 run_inference.py "$project" latest

status=0
python3 run_preproc.py "$project" nobody || status=$?
if [ "$status" != 2 ]; then
    echo "an unknown actor ended with exit status $status instead of 2" >&2
    exit 1
fi
foreign=$(find "$folder" ! -user "$(id -u)" -print -quit)
if [ -n "$foreign" ]; then
    echo "not the caller's: $foreign" >&2
    exit 1
fi
echo "container check passed: ${base[*]:-default base image}, project $project"
