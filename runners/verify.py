"""Compares runs and deployed models, file by file, with what was written: sizes and SHA-256 of their manifest.json.

python -m runners.verify workspace/output_deploy/261121_143912_demo
python -m runners.verify demo-regression latest
"""

from __future__ import annotations

import argparse
import sys

from runners.cli import USER_MISTAKE, answer

EXAMPLES = """
examples:
  python -m runners.verify workspace/output_deploy/261121_143912_demo     a model, wherever it was copied to
  python -m runners.verify workspace/output_train workspace/output_deploy  every run in these folders
  python -m runners.verify demo-regression latest                         the newest training run and its deployment
  python -m runners.verify demo-regression 261121_143912_demo             all that has this name

Files that may change in a finished folder are not compared: log.log, TensorBoard events, checkpoints, previews, README.md,
model_config.json and network.trt of a model.

exit status: 0 every file is what was written, 2 one is missing or changed, or there is nothing to compare with
"""


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m runners.verify",
        description="Compare every file of runs and deployed models with what was written.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what", metavar="FOLDER", nargs="+", help="folders of runs or models; or a project, then RUN names or `latest`"
    )
    arguments = parser.parse_args(argv)
    return answer(lambda: compare(arguments.what))


def compare(words: list[str]) -> int:
    """Compare everything that was named and print a line for each folder or fault; returns the exit status."""
    from audio2face import runtime
    from audio2face.commands.verify import find_folders, verify
    from audio2face.paths import external_path
    from audio2face.runs.disk import text_of

    runtime.setup_logging()
    status = 0
    for folder in find_folders(words):
        verdict = verify(folder)
        for fault in verdict.faults:
            print(f"{external_path(folder)}: {fault}", flush=True)
        if verdict.faults:
            status = USER_MISTAKE
        else:
            print(
                f"{external_path(folder)}: as written, {verdict.files} files, {text_of(verdict.num_bytes)}", flush=True
            )
    if status:
        print("What is missing or changed must be copied again, or made again by its command.")
    return status


if __name__ == "__main__":
    sys.exit(main())
