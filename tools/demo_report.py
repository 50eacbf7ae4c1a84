#!/usr/bin/env python3
"""Compare the newest animation of a demo project's held-out sentence with the truth: figures, a video and a picture.

Prints the correlation of the mouth opening and the lip vertex error, of curves that of jawOpen, the error of the head's
turn and how many of its nods are met, and writes <CONFIG>.mp4 (truth beside prediction, with sound), <CONFIG>.png
(moments of it) and <CONFIG>.json (the figures) to the folder OUT.

    python tools/demo_report.py demo-regression --out demo
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audio2face.config import load_config  # noqa: E402
from audio2face.dataset.files import DatasetFiles  # noqa: E402
from audio2face.formats.json_file import read_json, write_json  # noqa: E402
from audio2face.formats.sound import read_sound  # noqa: E402
from audio2face.paths import local_path  # noqa: E402
from audio2face.problems import UserError  # noqa: E402
from audio2face.render import auto_camera, contact_sheet, render_animation, side_by_side, write_video  # noqa: E402
from audio2face.runs.run_dir import LATEST, resolve_run  # noqa: E402
from runners.cli import answer  # noqa: E402
from tools.demo import curves_report  # noqa: E402
from tools.demo.face import build_face  # noqa: E402
from tools.demo.figure import figure_camera, figure_frames, figure_meshes  # noqa: E402

SHEET_MOMENTS = 12
FACE_ONLY = np.array([[-6.8, -12.2, 4.0], [6.8, 4.5, 4.0]])  # what the pictures of the sheet hold
TELLING = {  # sounds whose mouth is easy to judge, and how to write them in plain letters
    **{c: c for c in "mpbfvwuoail"}, "ɑ": "ah", "æ": "ae", "ɔ": "aw", "θ": "th", "ð": "dh", "ʃ": "sh",
}  # fmt: skip


@dataclass(frozen=True)
class Take:
    """One animation of the sentence: skin (T, V, 3), tongue (T, Vt, 3), jaw (T, 5, 3), eyes (T, 2, 2)."""

    skin: np.ndarray
    tongue: np.ndarray
    jaw: np.ndarray
    eyes: np.ndarray

    def cut(self, frames: int) -> Take:
        return Take(self.skin[:frames], self.tongue[:frames], self.jaw[:frames], self.eyes[:frames])


def read_truth(home: Path, stem: str) -> Take:
    """The held-out truth below `home`. Raises UserError when the sentence is not the demo's."""
    paths = [home / "cache" / kind / stem / f"{stem}.npy" for kind in ("skin", "tongue")]
    paths += [home / "xform" / f"{name}.npy" for name in ("jaw_keypoints", "eye_rotations")]
    missing = [str(p) for p in paths if not p.is_file()]
    if missing:
        raise UserError([f"no truth to compare with: {p} is missing" for p in missing])
    return Take(*(np.load(p) for p in paths))


def read_prediction(folder: Path, stem: str) -> Take:
    """The animation of `stem` that run_inference.py wrote to a run folder. Raises UserError when it is not there."""
    found = sorted(folder.glob(f"{stem}_*_skin.npy"))
    if not found:
        raise UserError(f"{folder} has no animation of {stem}: set OUTPUT_NPY_FILE = True and run run_inference.py")
    base = found[-1].name.removesuffix("_skin.npy")
    skin, tongue, jaw, eyes = (np.load(folder / f"{base}_{part}.npy") for part in ("skin", "tongue", "jaw", "eye"))
    if jaw[0].size != 15 or eyes[0].size != 4:
        raise UserError(f"{folder} is post-processed for the runtime: set APPLY_POSTPROCESSING = False to compare it")
    return Take(skin, tongue, jaw.reshape(len(skin), 5, 3), eyes.reshape(len(skin), 2, 2))


def compare(truth: np.ndarray, prediction: np.ndarray, files: DatasetFiles) -> dict[str, float]:
    """Figures of two skins (T, V, 3) in cm: correlation and errors of the mouth opening and of the lips, in mm.

    Mouth opening is the mean of y(upper) - y(lower) over the lip_dist pairs; lip vertex error is the mean over frames
    of the largest distance over the vertices of lip_dist and lip_size. "share" is relative to predicting the mean.
    """
    dist, size = files.lip_dist_pairs(), files.lip_size_pairs()
    if dist is None or size is None:
        raise UserError("config_dataset names no SKIN_LIP_DIST_VERTEX_LIST_FPATH or SKIN_LIP_SIZE_VERTEX_LIST_FPATH")
    opening = [skin[:, dist[0], 1].mean(axis=1) - skin[:, dist[1], 1].mean(axis=1) for skin in (truth, prediction)]
    error = np.abs(opening[1] - opening[0]).mean()
    baseline = np.abs(opening[0] - opening[0].mean()).mean()
    lips = np.unique(np.concatenate([*dist, *size]))
    distance = np.linalg.norm(prediction[:, lips] - truth[:, lips], axis=-1).max(axis=1)
    still = np.linalg.norm(truth[:, lips] - truth[:, lips].mean(axis=0), axis=-1).max(axis=1)
    return {
        "mouth_opening_correlation": round(float(np.corrcoef(*opening)[0, 1]), 4),
        "mouth_opening_error_mm": round(10 * float(error), 3),
        "mouth_opening_error_share": round(float(error / baseline), 4),
        "lip_vertex_error_mm": round(10 * float(distance.mean()), 3),
        "lip_vertex_error_of_mean_pose_mm": round(10 * float(still.mean()), 3),
        "frames": len(truth),
    }


def draw(out: Path, name: str, identity: int, takes: dict[str, Take], audio: Path, fps: float) -> list[Path]:
    """Write the video and the contact sheet of the takes side by side; returns their paths."""
    face = build_face(identity)
    meshes, camera = figure_meshes(face), figure_camera((416, 464))

    def pictures(take: Take, chosen: slice | np.ndarray = slice(None)) -> list[np.ndarray]:
        parts = [a[chosen] for a in (take.skin, take.tongue, take.jaw, take.eyes)]
        return figure_frames(face, *parts)

    streams = [render_animation(meshes, pictures(take), camera=camera) for take in takes.values()]
    video, sheet = out / f"{name}.mp4", out / f"{name}.png"
    samples, rate = read_sound(audio)
    write_video(video, side_by_side(*streams, titles=list(takes)), fps, (samples, rate))

    moments = moments_of(
        audio.parent.parent / "phones" / f"{audio.stem}.json", fps, len(next(iter(takes.values())).skin)
    )
    small = auto_camera(FACE_ONLY, (220, 260))
    rows = [list(render_animation(meshes, pictures(t, np.array(list(moments))), camera=small)) for t in takes.values()]
    tiles = [np.concatenate(column) for column in zip(*rows, strict=True)]
    contact_sheet(sheet, tiles, columns=6, labels=list(moments.values()))
    return [video, sheet]


def moments_of(phones: Path, fps: float, frames: int) -> dict[int, str]:
    """Frames worth showing and what is said there: the middles of SHEET_MOMENTS sounds spread over the sentence."""
    spoken = [(s, (a + b) / 2) for s, a, b in read_json(phones) if s in TELLING]
    chosen = [spoken[i] for i in np.linspace(0, len(spoken) - 1, SHEET_MOMENTS).round().astype(int)]
    return {min(max(round(t * fps - 0.5), 0), frames - 1): f"{TELLING[symbol]}  {t:.2f} s" for symbol, t in chosen}


def report(config_name: str, run_name: str, out: Path) -> int:
    """Compare, print and draw; returns 0. Raises UserError when something is missing."""
    sections = load_config(config_name, ("dataset", "train"), optional=("inference",))
    dataset, train, inference = sections["dataset"], sections["train"], sections["inference"]
    root = local_path(inference.INFERENCE_OUTPUT_ROOT)
    run = resolve_run(root, run_name, what="inference", run_name=train.RUN_NAME if run_name == LATEST else None)
    actor = inference.ACTOR_NAME or dataset.ACTOR_NAMES[0]
    files = DatasetFiles.from_config(dataset, actor)
    audio = local_path(inference.AUDIO_PATH)
    if files.skin_cache_root is None:
        return report_curves(config_name, run, audio, out, float(dataset.CACHE_FPS[actor]))
    takes = {"truth": read_truth(audio.parent.parent, audio.stem), "prediction": read_prediction(run, audio.stem)}
    frames = min(len(take.skin) for take in takes.values())
    takes = {name: take.cut(frames) for name, take in takes.items()}
    figures = compare(takes["truth"].skin, takes["prediction"].skin, files)
    write_json(out / f"{config_name}.json", {"inference_run": run.name, **figures})
    print(f"held-out sentence, {frames} frames, run {run.name}:")
    print(f"  correlation of the mouth opening with the truth  {figures['mouth_opening_correlation']:.3f}")
    share = 100 * figures["mouth_opening_error_share"]
    opening_mm, lips_mm = figures["mouth_opening_error_mm"], figures["lip_vertex_error_mm"]
    still = figures["lip_vertex_error_of_mean_pose_mm"]
    print(
        f"  mean error of the mouth opening                  {opening_mm:.2f} mm, {share:.0f} % of predicting its mean"
    )
    print(f"  lip vertex error                                 {lips_mm:.2f} mm (mean pose: {still:.2f} mm)")
    identity = read_json(audio.parent.parent.parent / "demo.json")["identity"]
    for path in draw(out, config_name, identity, takes, audio, float(dataset.CACHE_FPS[actor])):
        print(f"  {path}")
    return 0


def report_curves(config_name: str, run: Path, audio: Path, out: Path, fps: float) -> int:
    """The same of a project without a mesh; returns 0. Raises UserError when something is missing."""
    truth = curves_report.read_truth(audio.parent.parent, audio.stem)
    prediction = curves_report.read_prediction(run, audio.stem)
    frames = min(len(truth.weights), len(prediction.weights))
    takes = {"truth": truth.cut(frames), "prediction": prediction.cut(frames)}
    figures = curves_report.compare(takes["truth"], takes["prediction"], fps)
    write_json(out / f"{config_name}.json", {"inference_run": run.name, **figures})
    print("\n".join([f"held-out sentence, {frames} frames, run {run.name}:", *curves_report.tell(figures)]))
    moments = moments_of(audio.parent.parent / "phones" / f"{audio.stem}.json", fps, frames)
    for path in curves_report.draw(out, config_name, takes, moments, fps, read_sound(audio)):
        print(f"  {path}")
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="the project, e.g. demo-regression")
    parser.add_argument("--run", default=LATEST, help="full name of an inference run (default: the newest)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "demo", help="folder for the video and picture (default: demo/)"
    )
    args = parser.parse_args(argv)
    return answer(lambda: report(args.config, args.run, args.out))


if __name__ == "__main__":
    sys.exit(main())
