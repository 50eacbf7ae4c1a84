#!/usr/bin/env python3
"""Measure edits of a diffusion_transformer on shots that it was not trained on: seams, keys, lips inside gaps, place.

    python tools/bench_edit.py my-project latest
    python tools/bench_edit.py my-project latest --edits 60 --seed 1

Stretches of 0.2 to 2 seconds of held-out shots are made anew. Lips inside are compared with the truth, beside unconstrained
generation and a straight line; motion at borders (second differences of the lips) with that of the truth anywhere; what the
network makes of keys before they take their places, with the motion from frame to frame; two takes with each other; the same edit
with ten seconds more before or after it; and what GUIDANCE does to lips and variety.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
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
from audio2face.inference.animate import Animator, Speaker, load_animator  # noqa: E402
from audio2face.inference.edit.files import MeshFile  # noqa: E402
from audio2face.inference.edit.job import CONTEXT_S, renewed  # noqa: E402
from audio2face.inference.edit.plan import Plan, plan_edit  # noqa: E402
from audio2face.inference.edit.request import Edit  # noqa: E402
from audio2face.inference.job import InferenceJob, build_options  # noqa: E402
from audio2face.inference.package import run_actor  # noqa: E402
from audio2face.inference.talks import Talk  # noqa: E402
from audio2face.problems import UserError  # noqa: E402

REACH = 2  # frames on either side of a border
EXTRA_S = 10.0
SCALES = (0.0, 1.0, 2.0)


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
    rng = np.random.default_rng(seed)
    configs, options = post_configs(sections["inference"], run), build_options(sections["inference"], run)
    device = runtimes.start().device
    mm = 1000 / float(sections["dataset"].UNITS_PER_METRE)
    shots: dict[int, Shot] = {}
    rows = []
    for number in range(count):
        place = number % len(measured.clips)
        if place not in shots:
            clip = measured.clips[place]
            actor = run_actor(run, clip.shot.actor, configs[clip.shot.actor], rigs=False)
            animator = load_animator(run, {actor.name: actor}, options, device)
            shots[place] = open_shot(animator, run, actor, clip, sections["dataset"], mm)
        rows.append(measure_edit(shots[place], rng))
        print(f"{number + 1} of {count} edits", file=sys.stderr)
    truth = [shot.frames[:, shot.lips] for shot in shots.values()]
    steps = np.concatenate([second(x, mm) for x in truth])
    moved = np.concatenate([np.linalg.norm(np.diff(x, axis=0), axis=2).mean(axis=1) * mm for x in truth])
    return [*report(rows, steps, moved), *guidance_report([*shots.values()])]


@dataclass(frozen=True)
class Shot:
    """A held-out shot: its skin (T, V, 3), lips, and the network that is to make parts of it; `mm` in a unit of the data."""

    animator: Animator
    job: InferenceJob
    frames: np.ndarray
    lips: np.ndarray
    mm: float

    @property
    def voice(self) -> tuple[Path, int | None]:
        own = self.job.talks[0].own
        return own.path, own.channel

    def speaker(self, take: int = 0) -> Speaker:
        return Speaker(self.job.actor.name, self.job.emotion, take)

    def plan(self, edit: Edit, frames: np.ndarray | None = None) -> Plan:
        file = MeshFile(Path("truth.npy"), None, 0, {"skin": self.frames if frames is None else frames}, {})
        return plan_edit(self.job, file, edit, {"skin"}, ["skin"])

    def edited(self, edit: Edit, take: int = 0, frames: np.ndarray | None = None) -> np.ndarray:
        return renewed(self.animator, self.plan(edit, frames), edit, take)[0]["skin"]

    def free(self, take: int = 0) -> np.ndarray:
        """The skin as the network makes it of the sound alone."""
        sound = self.animator.load_sound(*self.voice)
        skin = self.animator.animate(sound, self.speaker(take)).animation.channels["skin"][: len(self.frames)]
        return np.concatenate([skin, np.repeat(skin[-1:], len(self.frames) - len(skin), axis=0)])


def open_shot(animator, run, actor, clip, dataset, mm: float) -> Shot:
    files = DatasetFiles.from_config(dataset, actor.name)
    lips = lip_vertices(files.lip_dist_pairs(), files.lip_size_pairs())
    if lips is None or files.skin_cache_root is None or clip.track is None:
        raise UserError(f"actor {actor.name}: lips are measured with SKIN_LIP_DIST_VERTEX_LIST_FPATH")
    frames = read_animation(find_animation(files.skin_cache_root, clip.shot.name)).block()
    job = InferenceJob(run, actor, [Talk(clip.shot.name, actor.name, clip.track)], (), clip.shot.emotion, animator.options, False)
    return Shot(animator, job, frames, lips, mm)


def measure_edit(shot: Shot, rng: np.random.Generator) -> dict:
    """The figures of one stretch that is made anew."""
    frames, lips, mm, fps = shot.frames, shot.lips, shot.mm, shot.animator.spec.fps
    length = int(rng.uniform(0.2, 2.0) * fps)
    first = int(rng.integers(10, max(11, len(frames) - length - 10)))
    inside = np.zeros(len(frames), bool)
    inside[first : first + length] = True
    edit = Edit(inside, {}, None, (), 0)
    made, other, whole, line = shot.edited(edit), shot.edited(edit, 1), shot.free(), frames.copy()
    steps = np.linspace(0, 1, length + 2)[1:-1, None, None]
    line[inside] = (1 - steps) * frames[first - 1] + steps * frames[min(first + length, len(frames) - 1)]
    plain = np.where(inside[:, None, None], whole, frames)
    borders = [i for b in (first, first + length) for i in range(b - REACH, b + REACH)]
    sides = {"edit": made, "line": line, "free": whole}
    row = {
        "error": {name: lip_error(x[inside], frames[inside], lips, mm) for name, x in sides.items()},
        "jumps": {
            name: second(x[:, lips], mm)[borders] for name, x in (("edit", made), ("line", line), ("plain", plain))
        },
        "seconds": length / fps,
        "takes": (lip_error(other[inside], made[inside], lips, mm), float(np.abs(other - made)[~inside].max())),
        "kept": float(np.abs(made - frames)[~inside].max()),
        "key": key_error(shot, inside),
    }
    context = CONTEXT_S * fps
    for name, far in (("before", first > context), ("after", len(frames) - first - length > context)):
        if far:  # else what comes there is heard
            row[name] = place_error(shot, edit, made, name == "before")
    return row


def key_error(shot: Shot, inside: np.ndarray) -> float:
    """Distance of the network's own frame from a key in the middle of the gap, lips, before the key takes its place."""
    middle = int(np.flatnonzero(inside).mean())
    edit = Edit(inside, {middle: middle}, None, (), 0)
    plan = shot.plan(edit)
    sound = shot.animator.load_sound(*shot.voice)
    low = max(0, int(np.flatnonzero(inside)[0]) - round(CONTEXT_S * shot.animator.spec.fps))
    high = min(len(inside), int(np.flatnonzero(inside)[-1]) + 1 + round(CONTEXT_S * shot.animator.spec.fps))
    inputs = shot.animator.inputs(sound, shot.speaker())
    _, own = shot.animator.rollout.restored(inputs, low, plan.given.part(low, high - low))
    channel = plan.codec["skin"]
    values = plan.layout.split(plan.codec.restore(own[[middle - low]], plan.layout))[channel.name][:, : channel.size]
    made, known = channel.decode(values)[0], channel.decode(plan.tracks["skin"].coeffs[[middle]])[0]
    return float(np.linalg.norm(made[shot.lips] - known[shot.lips], axis=1).mean() * shot.mm)


def place_error(shot: Shot, edit: Edit, made: np.ndarray, before: bool) -> float:
    """Largest change of a frame made anew when ten seconds of stillness come before it, or after it."""
    extra, fps = round(EXTRA_S * shot.animator.spec.fps), shot.animator.spec.fps
    ends = (extra, 0) if before else (0, extra)
    frames = np.pad(shot.frames, (ends, (0, 0), (0, 0)), mode="edge")
    load = shot.animator.load_sound

    def longer(path, channel=None):
        sound = load(path, channel)
        silence = tuple(round(n / fps * sound.sample_rate) for n in ends)
        return replace(sound, samples=np.pad(sound.samples, silence))

    shot.animator.load_sound = longer
    try:
        again = shot.edited(replace(edit, free=np.pad(edit.free, ends)), frames=frames)
    finally:
        shot.animator.load_sound = load
    again = again[ends[0] : ends[0] + len(made)]
    return float(np.linalg.norm(again[edit.free] - made[edit.free], axis=2).max() * shot.mm)


def guidance_report(shots: list[Shot]) -> list[str]:
    """What GUIDANCE of the sound does to lips and to variety, without anything given."""
    found = []
    for scale in SCALES:
        errors, between = [], []
        for shot in shots:
            sampler = shot.animator.rollout.sampler
            shot.animator.rollout.sampler = replace(sampler, guidance={**sampler.guidance, "audio": scale})
            one, two = shot.free(0), shot.free(1)
            shot.animator.rollout.sampler = sampler
            errors.append(lip_error(one, shot.frames, shot.lips, shot.mm))
            between.append(lip_error(one, two, shot.lips, shot.mm))
        found.append(
            f"GUIDANCE audio {scale:g}: lips {np.mean(errors):.2f} mm from the truth, takes {np.mean(between):.2f} mm apart"
        )
    return found


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
    apart = np.array([row["takes"] for row in rows])
    found = [
        f"{len(rows)} edits; kept frames are {max(row['kept'] for row in rows):g} off",
        f"lips in gaps over 0.3 s, mm: edit {mean['edit']:.2f}, straight line {mean['line']:.2f}, unconstrained {mean['free']:.2f}",
        f"second difference of the lips: truth median {np.median(steps):.3f}, 99th percentile {np.quantile(steps, 0.99):.3f} mm",
    ]
    for name, values in jumps.items():
        ratio, high = np.median(values) / np.median(steps), np.quantile(values, 0.95)
        found.append(f"  at borders, {name}: median {ratio:.2f} times the truth's, 95th percentile {high:.3f} mm")
    keys = np.array([row["key"] for row in rows])
    found += [
        f"keys before they take their places: {np.mean(keys):.3f} mm; frame to frame, 75th percentile: {np.quantile(motion, 0.75):.3f} mm",
        f"two takes: {apart[:, 0].mean():.3f} mm apart inside (least {apart[:, 0].min():.3f}), {apart[:, 1].max():g} outside",
    ]
    for name in ("before", "after"):
        place = np.array([row[name] for row in rows if name in row])
        found.append(f"ten seconds more {name} it ({len(place)} edits): at most {place.max(initial=0.0):.4f} mm")
    return found


if __name__ == "__main__":
    sys.exit(main())
