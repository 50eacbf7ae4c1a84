#!/usr/bin/env python3
"""Measure edits of a diffusion_transformer on shots that it was not trained on: seams, keys, lips inside gaps, place.

    python tools/bench_edit.py my-project latest
    python tools/bench_edit.py my-project latest --edits 60 --seed 1

Stretches of 0.2 to 2 seconds of held-out shots are made anew. Lips inside are compared with the truth, beside unconstrained
generation and a straight line; motion at borders (second differences of the lips) with that of the truth anywhere; what the
network makes of keys before they take their places, with the motion from frame to frame; and the same edit with ten seconds
more before it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audio2face import runtime as runtimes  # noqa: E402
from audio2face.commands.find_run import find_training_run, post_configs, train_section  # noqa: E402
from audio2face.config import load_config  # noqa: E402
from audio2face.dataset.files import DatasetFiles  # noqa: E402
from audio2face.evaluation.data import Wanted, build_measured  # noqa: E402
from audio2face.formats import find_animation, read_animation  # noqa: E402
from audio2face.geometry.regions import lip_vertices  # noqa: E402
from audio2face.inference.animate import Speaker, load_animator  # noqa: E402
from audio2face.inference.edit.files import MeshFile  # noqa: E402
from audio2face.inference.edit.job import CONTEXT_S, EditJob, edited  # noqa: E402
from audio2face.inference.edit.request import Edit  # noqa: E402
from audio2face.inference.job import InferenceJob, build_options  # noqa: E402
from audio2face.inference.package import run_actor  # noqa: E402
from audio2face.problems import UserError  # noqa: E402

REACH = 2  # frames on either side of a border
EXTRA_S = 10.0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config_name")
    parser.add_argument("run")
    parser.add_argument("--edits", type=int, default=30, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the stretches (default: %(default)s)")
    args = parser.parse_args(argv)
    try:
        print("\n".join(measure(args.config_name, args.run, args.edits, args.seed)))
    except UserError as error:
        print("\n".join(f"error: {line}" for line in error.lines), file=sys.stderr)
        return 2
    return 0


def measure(config_name: str, run_name: str, count: int, seed: int) -> list[str]:
    """The figures of `count` edits, as lines."""
    train = train_section(config_name, run_name)
    run = find_training_run(config_name, run_name, train)
    sections = load_config(config_name, ("train", "dataset"), optional=("inference",))
    measured = build_measured(config_name, sections["train"], sections["dataset"], [run], Wanted())
    inference, rng = sections["inference"], np.random.default_rng(seed)
    configs, options = post_configs(inference, run), build_options(inference, run)
    device = runtimes.start().device
    mm, rows = 1000 / float(sections["dataset"].UNITS_PER_METRE), []
    truth_steps, truth_motion = [], []
    for number in range(count):
        clip = measured.clips[number % len(measured.clips)]
        actor = run_actor(run, clip.shot.actor, configs[clip.shot.actor], rigs=False)
        files = DatasetFiles.from_config(sections["dataset"], clip.shot.actor)
        lips = lip_vertices(files.lip_dist_pairs(), files.lip_size_pairs())
        if lips is None or files.skin_cache_root is None or clip.audio is None:
            raise UserError(f"actor {clip.shot.actor}: lips are measured with SKIN_LIP_DIST_VERTEX_LIST_FPATH")
        frames = read_animation(find_animation(files.skin_cache_root, clip.shot.name)).block()
        animator = load_animator(run, {actor.name: actor}, options, device)
        file = MeshFile(Path("truth.npy"), None, 0, {"skin": frames}, {})
        job = InferenceJob(run, actor, [clip.audio], (), clip.shot.emotion, options, False)
        length = int(rng.uniform(0.2, 2.0) * run.spec.fps)
        first = int(rng.integers(10, max(11, len(frames) - length - 10)))
        free = np.zeros(len(frames), bool)
        free[first : first + length] = True
        edit = Edit(free, {}, None, (), 0)
        made = edited(animator, EditJob(job, file, edit, {"skin"}), 0)[0]["skin"]
        whole = animator.animate(
            animator.load_sound(clip.audio), Speaker(actor.name, clip.shot.emotion)
        ).animation.channels["skin"]
        line = frames.copy()
        steps = np.linspace(0, 1, length + 2)[1:-1, None, None]
        line[free] = (1 - steps) * frames[first - 1] + steps * frames[first + length]
        error = {
            name: lip_error(x[free], frames[free], lips, mm)
            for name, x in (("edit", made), ("line", line), ("free", whole[: len(frames)]))
        }
        plain = whole[: len(frames)].copy()
        plain[~free] = frames[~free]
        borders = [i for b in (first, first + length) for i in range(b - REACH, b + REACH)]
        jumps = {
            name: second(x[:, lips], mm)[borders] for name, x in (("edit", made), ("line", line), ("plain", plain))
        }
        truth_steps.append(second(frames[:, lips], mm))
        truth_motion.append(np.linalg.norm(np.diff(frames[:, lips], axis=0), axis=2).mean(axis=1) * mm)
        rows.append(
            {
                "error": error,
                "jumps": jumps,
                "seconds": length / run.spec.fps,
                **_keys(animator, job, file, free, lips, mm),
            }
        )
        if first > CONTEXT_S * run.spec.fps:  # else what comes before is heard
            rows[-1]["place"] = _place(animator, job, file, edit, made, mm)
    return report(rows, np.concatenate(truth_steps), np.concatenate(truth_motion))


def _keys(animator, job, file, free, lips, mm) -> dict[str, float]:
    """Distance of the network's own frame from a key in the middle of the gap, lips, before the key takes its place."""
    middle = int(np.flatnonzero(free).mean())
    frames, edit = file.channels["skin"], Edit(free, {middle: middle}, None, (), 0)
    own = {}

    def keep_own(inputs, first, given, restored=animator.rollout.restored):
        x_0, made = restored(inputs, first, given)
        own["values"], own["place"] = made, middle - first
        return x_0, made

    animator.rollout.restored, before = keep_own, animator.rollout.restored
    try:
        edited(animator, EditJob(job, file, edit, {"skin"}), 0)
    finally:
        animator.rollout.restored = before
    codec = animator.spec.output_codec(job.run.actor(job.actor.name))
    values = codec.layout.split(codec.restore(own["values"][[own["place"]]]))["skin_coeffs"]
    made = codec["skin"].decode(values)[0]
    known = codec["skin"].decode(
        (frames[[middle]] - codec["skin"].basis.mean).reshape(1, -1)
        @ codec["skin"].basis.components.reshape(len(codec["skin"].basis.components), -1).T
    )[0]
    return {"key": float(np.linalg.norm(made[lips] - known[lips], axis=1).mean() * mm)}


def _place(animator, job, file, edit, made, mm) -> float:
    """Largest change of a frame made anew when ten seconds of stillness come before it."""
    extra = round(EXTRA_S * animator.spec.fps)
    frames = file.channels["skin"]
    longer = replace(file, channels={"skin": np.concatenate([np.repeat(frames[:1], extra, axis=0), frames])})
    moved = replace(edit, free=np.concatenate([np.zeros(extra, bool), edit.free]))
    load = animator.load_sound

    def delayed(path):
        sound = load(path)
        silence = np.zeros(round(extra / animator.spec.fps * sound.sample_rate), np.float32)
        return replace(sound, samples=np.concatenate([silence, sound.samples]))

    animator.load_sound = delayed
    try:
        again = edited(animator, EditJob(job, longer, moved, {"skin"}), 0)[0]["skin"][extra:]
    finally:
        animator.load_sound = load
    return float(np.linalg.norm(again[edit.free] - made[edit.free], axis=2).max() * mm)


def lip_error(made: np.ndarray, truth: np.ndarray, lips: np.ndarray, mm: float) -> float:
    """Mean over frames of the largest distance of a lip vertex, mm."""
    return float(np.linalg.norm(made[:, lips] - truth[:, lips], axis=2).max(axis=1).mean() * mm)


def second(points: np.ndarray, mm: float) -> np.ndarray:
    """Mean size of the second difference of points (T, n, 3) at every frame but the ends, zeros there: (T,) mm."""
    inner = np.linalg.norm(np.diff(points, 2, axis=0), axis=2).mean(axis=1) * mm
    return np.pad(inner, 1)


def report(rows, steps: np.ndarray, motion: np.ndarray) -> list[str]:
    """The figures as lines."""
    jumps = {name: np.concatenate([row["jumps"][name] for row in rows]) for name in ("edit", "line", "plain")}
    long = [row for row in rows if row["seconds"] > 0.3]
    mean = {name: np.mean([row["error"][name] for row in long]) for name in ("edit", "line", "free")}
    keys, place = (np.array([row[name] for row in rows if name in row]) for name in ("key", "place"))
    found = [
        f"{len(rows)} edits",
        f"lips in gaps over 0.3 s, mm: edit {mean['edit']:.2f}, straight line {mean['line']:.2f}, unconstrained {mean['free']:.2f}",
        f"second difference of the lips: truth median {np.median(steps):.3f}, 99th percentile {np.quantile(steps, 0.99):.3f} mm",
    ]
    for name, values in jumps.items():
        ratio, high = np.median(values) / np.median(steps), np.quantile(values, 0.95)
        found.append(f"  at borders, {name}: median {ratio:.2f} times the truth's, 95th percentile {high:.3f} mm")
    return [
        *found,
        f"keys before they take their places: {np.mean(keys):.3f} mm; frame to frame, 75th percentile: {np.quantile(motion, 0.75):.3f} mm",
        f"ten seconds more before it ({len(place)} edits): at most {place.max(initial=0.0):.4f} mm",
    ]


if __name__ == "__main__":
    sys.exit(main())
