#!/usr/bin/env python3
"""Make a data set and a project from recordings of ARKit curves: of the curves alone, or with a blendshape rig as a mesh.

TAKES are recordings, or folders of them: .csv of the Live Link Face app (or this framework's arkit_csv export), tables of
MediaPipe, iFacialMocap and FaceMotion3D (.txt), animation_frames.csv of Audio2Face-3D, Live Link's .json, and any table with
ARKit's names. The sound of a take has its name (.wav, .mp3, .mov, .mkv, …) and lies beside it or in --audio; when sound and
recording have time codes (broadcast waves, videos) they are aligned by them, else both start together.

Without --rig the model learns the curves: groups "arkit" (the weights), "head" and "eyes" (their turns), with the times,
gaps and rates of the recordings. Fewer than five takes are cut into shots in pauses, so that one can be held out.
With --rig it learns the mesh that they move: a .glb or .gltf with morph targets, a .usd with blend shapes, a folder of
.obj files (neutral.obj and one for each shape), or an .npz like bs_skin.npz.

    python tools/import_live_link.py takes/ --actor anna
    python run_preproc.py anna anna
    python run_train.py anna

    python tools/import_live_link.py one_long_take.csv --actor anna --cut 8                # shots of about 8 seconds
    python tools/import_live_link.py mediapipe.csv --audio sounds/ --csv-fps 30 --actor anna
    python tools/import_live_link.py takes/ --actor anna --scale 1/100                     # weights in percent
    python tools/import_live_link.py takes/ --rig anna.glb --actor anna
    python tools/import_live_link.py takes/ --rig anna.usd --actor anna --fps 30 --emotions joy anger --language de
    python tools/import_live_link.py a.csv b.csv --rig shapes/ --rest base --units mm --map names.json --actor anna

names.json: {"jawOpen": "Mouth_Open", "browInnerUp": ["Brow_L", "Brow_R"], "cheekPuff": {"Puff": 0.5}}
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audio2face.importing.curve_takes import import_curves  # noqa: E402
from audio2face.importing.curves import LOOK_DEGREES  # noqa: E402
from audio2face.importing.live_link import RigOptions, import_live_link  # noqa: E402
from audio2face.importing.recordings import TakeOptions  # noqa: E402
from audio2face.importing.units import PER_METRE, STAND  # noqa: E402
from audio2face.problems import UserError, raise_problems  # noqa: E402
from tools.importer import add_output, add_sounds, argument_problems, finish, fraction, output, run  # noqa: E402

OF_RIGS = ("skin", "tongue", "teeth", "no_jaw", "rest", "units", "map", "allow_missing")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("takes", metavar="TAKES", nargs="+", type=Path, help="recordings, or folders with them")
    add_output(parser)
    rig = parser.add_argument_group("rig")
    rig.add_argument("--rig", type=Path, help=".glb, .gltf, .usd, .npz, or a folder of .obj (default: curves alone)")
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
    add_sounds(takes)
    takes.add_argument(
        "--csv-fps",
        type=float,
        help="frames a second that time codes count (default: from the codes), or of rows without times",
    )
    takes.add_argument("--scale", type=fraction, help="of the weights: 1/100 for percent, 1/255 for bytes (default: 1)")
    takes.add_argument("--degrees", action="store_true", help="turns are in degrees (default: radians, as the app's)")
    takes.add_argument(
        "--look-degrees", type=float, default=LOOK_DEGREES, help="a look curve of 1 (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    return run(lambda: convert(args))


def convert(args: argparse.Namespace) -> list[str]:
    """Import as the arguments say; returns lines to print. Raises UserError for what cannot be imported."""
    problems = argument_problems(args, "csv_fps", "look_degrees", "scale", paths=(*args.takes, args.rig, args.map))
    if args.rig is not None and args.cut is not None:
        problems.append("--cut cuts recordings without --rig; name ranges of frames in CLIPS instead")
    if args.rig is None:
        given = (f"--{name.replace('_', '-')}" for name in OF_RIGS if getattr(args, name))
        problems += [f"{option} is about a rig; pass --rig, or leave it out" for option in given]
    raise_problems(problems)
    target = output(args)
    takes = TakeOptions(
        tuple(args.takes), args.audio, args.fps, args.csv_fps, args.audio_offset, args.sample_rate, args.look_degrees,
        args.scale, args.degrees,
    )  # fmt: skip
    if args.rig is None:
        written, fps, notes = import_curves(target.home, takes, args.cut, args.replace)
        return [*notes, *finish(target, written, fps, "recordings of ARKit curves")]
    names = {} if args.map is None else _map(args.map)
    rig = RigOptions(
        args.rig, args.skin, args.tongue, args.teeth, args.rest, args.units, args.up, names, args.allow_missing,
        not args.no_jaw,
    )  # fmt: skip
    written, fps, notes = import_live_link(target.home, rig, takes, args.replace)
    return [*notes, *finish(target, written, fps, "recordings of ARKit curves")]


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
