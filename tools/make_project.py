#!/usr/bin/env python3
"""Write a project for a data set in the standard layout, as the export scripts for Blender and Maya leave it.

HOME is the actor's folder with audio/, cache/skin/, geom/, xform/, bs_data/. Every file with its customary name is
entered; lip and lid vertex lists that are missing are proposed and written.

    python tools/make_project.py /data/anna --actor anna --fps 30
    python run_preproc.py anna anna
    python run_train.py anna
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audio2face.importing.folder import survey  # noqa: E402
from audio2face.problems import UserError  # noqa: E402
from tools.importer import add_names, finish, output, run  # noqa: E402


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="HOME", type=Path, help="the actor's folder")
    parser.add_argument("--fps", type=float, help="of the caches (default: the rate in Maya caches)")
    parser.add_argument("--skin-channel", metavar="NAME", help="the face, of Maya caches that hold several channels")
    parser.add_argument(
        "--tongue-channel", metavar="NAME", help="the tongue among them (in cache/tongue or cache/skin)"
    )
    add_names(parser.add_argument_group("project"))
    args = parser.parse_args(argv)
    return run(lambda: convert(args))


def convert(args: argparse.Namespace) -> list[str]:
    """Survey the folder and write the project; returns lines to print. Raises UserError for what is wrong."""
    if args.fps is not None and not args.fps > 0:
        raise UserError("--fps must be above 0")
    target = output(args)
    written, fps, notes = survey(target.home, args.fps, args.skin_channel, args.tongue_channel)
    return [*notes, *finish(target, written, fps, "files in the standard layout")]


if __name__ == "__main__":
    sys.exit(main())
