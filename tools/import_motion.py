#!/usr/bin/env python3
"""Make a data set and a project from body motion with its sound: .bvh, or SMPL-X .npz (BEAT2, AMASS).

TAKES are motions, or folders of them (.bvh; where there is none, .npz). The sound of a take has its name (.wav, .flac, .mp3,
.mov, …) and lies beside it or in --audio; both start together, unless --audio-offset says how much of the sound comes first.
The model learns the group "body", the joints of the skeleton, and of SMPL-X files that have moving expressions "face".
Motions keep their rate, their channels and their angles. Fewer than five takes are cut into shots in pauses, so that one
can be held out.

    python tools/import_motion.py takes/ --actor sam
    python run_preproc.py sam sam
    python run_train.py sam

    python tools/import_motion.py walk.bvh talk.bvh --audio sounds/ --actor sam --audio-offset 0.5   # sound starts earlier
    python tools/import_motion.py talk.bvh --actor sam --audio-offset -0.2                           # sound starts later
    python tools/import_motion.py speech.npz --actor sam --motion-fps 30 --cut 8                     # SMPL-X without a rate
    python tools/import_motion.py takes/ --actor sam --scale 1/100                                   # centimetres to metres
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audio2face.importing.motion import MotionOptions, import_motion  # noqa: E402
from audio2face.problems import raise_problems  # noqa: E402
from tools.importer import add_output, add_sounds, argument_problems, finish, fraction, output, run  # noqa: E402


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("takes", metavar="TAKES", nargs="+", type=Path, help=".bvh or .npz, or folders with them")
    add_output(parser)
    takes = parser.add_argument_group("motions")
    add_sounds(takes)
    takes.add_argument("--motion-fps", type=float, help="frames a second of .npz files that do not say it")
    takes.add_argument(
        "--scale",
        type=fraction,
        default=1.0,
        help="of lengths: 1/100 for centimetres to metres (default: 1, as they are)",
    )
    args = parser.parse_args(argv)
    return run(lambda: convert(args))


def convert(args: argparse.Namespace) -> list[str]:
    """Import as the arguments say; returns lines to print. Raises UserError for what cannot be imported."""
    raise_problems(argument_problems(args, "motion_fps", "scale", paths=args.takes))
    target = output(args)
    options = MotionOptions(
        tuple(args.takes), args.audio, args.fps, args.motion_fps, args.audio_offset, args.sample_rate, args.scale
    )
    written, fps, notes = import_motion(target.home, options, args.cut, args.replace)
    return [*notes, *finish(target, written, fps, "motion of a body")]


if __name__ == "__main__":
    sys.exit(main())
