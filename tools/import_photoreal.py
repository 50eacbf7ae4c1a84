#!/usr/bin/env python3
"""Make a data set and a project from a person's folder in the layout of audio2photoreal: two people talk, one is recorded.

FOLDER has, for each scene, sceneNN_audio.wav (48 kHz; channel 0 this person, 1 the partner), sceneNN_body_pose.npy (T, 104),
sceneNN_face_expression.npy (T, 256) and sceneNN_missing_face_frames.npy, at 30 frames a second. The model learns the groups
"body" (place and turn of the root, joints) and "codes" (of the face) from both sounds. The last six scenes are held out.
data_stats.pth is not opened: preprocessing computes the statistics. Mind the licence of the recordings.

    python tools/import_photoreal.py dataset/PXB184 --actor pxb
    python run_preproc.py pxb pxb
    python run_train.py pxb

    python tools/import_photoreal.py dataset/PXB184 --actor pxb --sample-rate 16000   # a third of the disk, the same for training
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audio2face.importing.photoreal import FPS, import_photoreal  # noqa: E402
from audio2face.problems import raise_problems  # noqa: E402
from audio2face.types import SAMPLE_RATE  # noqa: E402
from tools.importer import add_output, finish, output, run  # noqa: E402


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a person's folder")
    add_output(parser)
    parser.add_argument("--sample-rate", type=int, help="of the sounds written (default: as recorded)")
    args = parser.parse_args(argv)
    return run(lambda: convert(args))


def convert(args: argparse.Namespace) -> list[str]:
    """Import as the arguments say; returns lines to print. Raises UserError for what cannot be imported."""
    low = args.sample_rate is not None and args.sample_rate < SAMPLE_RATE
    problems = [f"--sample-rate must be {SAMPLE_RATE} or more"] if low else []
    raise_problems(problems + ([] if args.folder.is_dir() else [f"{args.folder}: no such folder"]))
    target = output(args)
    written, notes = import_photoreal(args.folder, target.home, args.sample_rate, args.replace)
    return [*notes, *finish(target, written, FPS, "recordings of a conversation")]


if __name__ == "__main__":
    sys.exit(main())
