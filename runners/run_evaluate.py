"""Runs `evaluate` in this process: what run_evaluate.py starts in the container, or in this Python with --local."""

import sys

from runners.cli import main

if __name__ == "__main__":
    sys.exit(main("evaluate"))
