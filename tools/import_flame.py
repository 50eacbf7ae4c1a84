#!/usr/bin/env python3
"""Make a data set and a project from clips of FLAME heads: one person of VOCASET, or a tracker's output.

CLIPS is a folder with one entry for each sentence, whose sound `<name>.wav` lies in --audio: an .npy of vertices
(T, 5023, 3) or (T, 15069); a folder of .ply or .obj, one for each frame; or FLAME parameters, an .npz or a folder of
.npy with expression, jaw_pose, shape, eye_pose (other trackers' names are known), which need --basis: an .npz of
FLAME's v_template, shapedirs, posedirs, J_regressor, weights and f. Pickles are never read;
docs/preparing_animation_data.md shows how to convert VOCASET's and FLAME's.

    python tools/import_flame.py vertices_npy --audio wav --subject FaceTalk_170728_03272_TA --actor ta \\
        --template ta.ply
    python run_preproc.py ta ta
    python run_train.py ta

    python tools/import_flame.py tracked --audio wav --basis flame2020.npz --fps 25 --actor me
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audio2face.importing.flame_clips import FlameOptions, import_flame  # noqa: E402
from audio2face.importing.units import PER_METRE  # noqa: E402
from audio2face.problems import UserError  # noqa: E402
from tools.importer import add_output, finish, output, run  # noqa: E402


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", metavar="CLIPS", type=Path, help="folder with the clips")
    parser.add_argument("--audio", required=True, type=Path, help="folder with the sounds")
    add_output(parser)
    group = parser.add_argument_group("clips")
    group.add_argument("--fps", type=float, default=60.0, help="of the clips (default: VOCASET's %(default)s)")
    group.add_argument("--out-fps", type=float, help="of the data set (default: the clips')")
    group.add_argument("--subject", help="part of the clips' names: take only these")
    group.add_argument("--template", type=Path, help="face at rest: .obj, .ply, .npy, or .npz by subject")
    group.add_argument("--basis", type=Path, help=".npz of the FLAME model, for parameters; also gives the faces")
    group.add_argument("--units", choices=PER_METRE, help="of the clips (default: what makes it as big as a head)")
    group.add_argument("--sample-rate", type=int, help="of the sounds written (default: as recorded)")
    args = parser.parse_args(argv)
    return run(lambda: convert(args))


def convert(args: argparse.Namespace) -> list[str]:
    """Import as the arguments say; returns lines to print. Raises UserError for what cannot be imported."""
    rates = {"--fps": args.fps, "--out-fps": args.out_fps}
    problems = [f"{name} must be above 0" for name, rate in rates.items() if rate is not None and not rate > 0]
    if args.sample_rate is not None and args.sample_rate < 16000:
        problems.append("--sample-rate must be 16000 or more")
    if problems:
        raise UserError(problems)
    target = output(args)
    options = FlameOptions(
        args.clips, args.audio, args.fps, args.out_fps, args.subject, args.template, args.basis, args.units,
        args.sample_rate,
    )  # fmt: skip
    written, fps, notes = import_flame(target.home, options, args.replace)
    return [*notes, *finish(target, written, fps, "clips of a FLAME head")]


if __name__ == "__main__":
    sys.exit(main())
