#!/usr/bin/env python3
"""Make a data set and a project from Live Link Face recordings and a blendshape rig.

TAKES are .csv recordings (the app's, or this framework's arkit_csv export) or folders of them. The sound of a take has
its name (.wav, .mp3, .mov, .mkv, …) and lies beside it or in --audio; when sound and recording have time codes
(broadcast waves, videos) they are aligned by them, else both start together. The rig is a .glb or .gltf with morph
targets, a .usd with blend shapes, a folder of .obj files (neutral.obj and one for each shape), or an .npz like
bs_skin.npz.

    python tools/import_live_link.py takes/ --rig anna.glb --actor anna
    python run_preproc.py anna anna
    python run_train.py anna

    python tools/import_live_link.py takes/ --rig anna.usd --actor anna --fps 30 --emotions joy anger --language de
    python tools/import_live_link.py takes/ --rig anna.glb --actor anna --scale 1/100      # weights in percent
    python tools/import_live_link.py a.csv b.csv --rig shapes/ --rest base --units mm --map names.json --actor anna

names.json: {"jawOpen": "Mouth_Open", "browInnerUp": ["Brow_L", "Brow_R"], "cheekPuff": {"Puff": 0.5}}
"""

from __future__ import annotations

import argparse
import json
import sys
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audio2face.importing.curves import LOOK_DEGREES  # noqa: E402
from audio2face.importing.live_link import RigOptions, TakeOptions, import_live_link  # noqa: E402
from audio2face.importing.units import PER_METRE, STAND  # noqa: E402
from audio2face.problems import UserError  # noqa: E402
from tools.importer import add_output, finish, output, run  # noqa: E402


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("takes", metavar="TAKES", nargs="+", type=Path, help=".csv recordings, or folders with them")
    add_output(parser)
    rig = parser.add_argument_group("rig")
    rig.add_argument("--rig", required=True, type=Path, help=".glb, .gltf, .usd, .npz, or a folder of .obj")
    rig.add_argument("--skin", help="the face among the rig's meshes (default: the one with most ARKit shapes)")
    rig.add_argument("--tongue", help="mesh of the rig, or a rig file of its own (default: a mesh called …tongue…)")
    rig.add_argument("--teeth", help="lower teeth: mesh or file (default: …teeth…, else estimated from the chin)")
    rig.add_argument("--no-jaw", action="store_true", help="leave the lower teeth out")
    rig.add_argument("--rest", help="the .obj of the face at rest (default: neutral, rest, base, …)")
    rig.add_argument("--units", choices=PER_METRE, help="of the rig (default: what makes it as big as a head)")
    rig.add_argument("--up", choices=STAND, default="y", help="up axis of .obj and .npz rigs (default: %(default)s)")
    rig.add_argument("--map", type=Path, help="JSON {curve: shape, [shapes] or {shape: factor}}")
    rig.add_argument("--allow-missing", action="store_true", help="continue when curves that move have no shape")
    takes = parser.add_argument_group("recordings")
    takes.add_argument("--audio", type=Path, help="folder with the sounds")
    takes.add_argument("--fps", type=float, help="of the data set (default: the recordings' own, at most 60)")
    takes.add_argument(
        "--csv-fps", type=float, help="frames a second that the time codes count (default: from the codes)"
    )
    takes.add_argument("--audio-offset", type=float, default=0.0, metavar="S", help="seconds of sound to leave out")
    takes.add_argument("--sample-rate", type=int, help="of the sounds written (default: as recorded)")
    takes.add_argument(
        "--scale", type=fraction, default=1.0, help="of the weights: 1/100 for percent, 1/255 for bytes (default: 1)"
    )
    takes.add_argument("--degrees", action="store_true", help="turns are in degrees (default: radians, as the app's)")
    takes.add_argument(
        "--look-degrees", type=float, default=LOOK_DEGREES, help="a look curve of 1 (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    return run(lambda: convert(args))


def convert(args: argparse.Namespace) -> list[str]:
    """Import as the arguments say; returns lines to print. Raises UserError for what cannot be imported."""
    problems = [
        f"--{name.replace('_', '-')} must be above 0"
        for name in ("fps", "csv_fps", "sample_rate", "look_degrees", "scale")
        if (value := getattr(args, name)) is not None and not value > 0
    ]
    if args.sample_rate is not None and args.sample_rate < 16000:
        problems.append("--sample-rate must be 16000 or more")
    given = [*args.takes, args.rig, args.map, args.audio]
    problems += [f"{path}: no such file or folder" for path in given if path is not None and not Path(path).exists()]
    if problems:
        raise UserError(problems)
    target = output(args)
    names = {} if args.map is None else _map(args.map)
    rig = RigOptions(
        args.rig, args.skin, args.tongue, args.teeth, args.rest, args.units, args.up, names, args.allow_missing,
        not args.no_jaw,
    )  # fmt: skip
    takes = TakeOptions(
        tuple(args.takes), args.audio, args.fps, args.csv_fps, args.audio_offset, args.sample_rate, args.look_degrees,
        args.scale, args.degrees,
    )  # fmt: skip
    written, fps, notes = import_live_link(target.home, rig, takes, args.replace)
    return [*notes, *finish(target, written, fps, "recordings of ARKit curves")]


def fraction(text: str) -> float:
    """A number, or a fraction such as 1/255."""
    try:
        return float(Fraction(text))
    except ZeroDivisionError as error:
        raise ValueError(text) from error


def _map(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"--map {path}: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"--map {path}: expected an object {{curve: shape}}")
    odd = [curve for curve, shapes in content.items() if not _is_target(shapes)]
    if odd:
        raise UserError(f"--map {path}: expected a shape, [shapes] or {{shape: factor}} for {', '.join(odd)}")
    return content


def _is_target(shapes: object) -> bool:
    if isinstance(shapes, dict):
        return all(type(factor) in (int, float) for factor in shapes.values())
    return isinstance(shapes, str) or (isinstance(shapes, list) and all(isinstance(s, str) for s in shapes))


if __name__ == "__main__":
    sys.exit(main())
