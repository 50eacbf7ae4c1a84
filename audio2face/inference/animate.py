"""A trained model in memory: sound and speaker in, blocks of network rows out, and a face at the end.

`load_animator` opens a training run in any of its modes; its frames stand in the middle of their intervals, as in training.
Deployed models, which run as a live host would ask them, are `inference.model`.

Called by `inference.job` and `commands.evaluate`; next: `models.regression.load` or `models.diffusion.load` for the rows
of a network, then `postprocess.chain`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.audio.waveform import load_track
from audio2face.audio.windows import cut, frame_count
from audio2face.dataset.audio_tracks import PARTNER_METHOD, partner_samples
from audio2face.face.codec import part_of
from audio2face.inference.audio_inputs import normalized_samples
from audio2face.inference.package import Actor
from audio2face.logs import Bar
from audio2face.models import run_family
from audio2face.models.common.options import Options
from audio2face.models.common.rollout import Given, Rollout, RolloutInputs
from audio2face.postprocess import chain
from audio2face.runs.disk import reserve
from audio2face.runs.train_run import NetworkSpec, TrainRun
from audio2face.types import FaceAnimation, Track, Waveform

BLOCK = 256  # frames decoded at once
MESHES = ("skin", "tongue")


@dataclass(frozen=True)
class Speaker:
    """Whose face, in which emotion (a name, {name: weight}, weights, a timeline, None for the default), which take, and the
    sound of whom it talks to (None in a monologue), which starts with its own."""

    actor: str
    emotion: Any = None
    take: int = 0
    partner: Waveform | None = None


@dataclass(frozen=True)
class Take:
    """One animation. `rows` (T, C) are the network's own, in data units: of meshes coefficients or whole positions."""

    rows: np.ndarray
    animation: FaceAnimation


class Animator:
    """The network of a training run, and the actors whose faces it animates: a face as the network gives it, or, with
    `postprocess`, as the runtime shows it with each actor's CONFIG."""

    def __init__(
        self,
        spec: NetworkSpec,
        actors: Mapping[str, Actor],
        rollout: Rollout,
        options: Options,
        postprocess: bool,
    ):
        self.spec, self.actors, self.rollout, self.options, self.postprocess = (
            spec,
            actors,
            rollout,
            options,
            postprocess,
        )

    def load_sound(self, path: Path, channel: int | None = None) -> Waveform:
        """A sound file, or one channel of it, as the network was trained on it. Raises UserError when it cannot be read."""
        return load_own(self.spec, Track(path, channel))

    def load_partner(self, track: Track | None, early_s: float = 0.0) -> Waveform | None:
        """The sound of a partner, from `early_s` on; None where there is nobody, or the network hears none."""
        return load_partner(self.spec, track, early_s)

    @property
    def hears_partner(self) -> bool:
        """Whether the network was trained on conversations."""
        return bool(self.spec.extra.get("partner", False))

    def num_frames(self, sound: Waveform) -> int:
        """Frames of the animation of a sound."""
        return frame_count(len(sound.samples), sound.sample_rate, self.spec.fps)

    def blocks(self, sound: Waveform, speaker: Speaker, given: Given | None = None) -> Iterator[np.ndarray]:
        """The network's rows (n, C) for all frames of a sound, some at a time; meshes as coefficients or offsets from rest."""
        return self.rollout(self.inputs(sound, speaker, given))

    def inputs(self, sound: Waveform, speaker: Speaker, given: Given | None = None) -> RolloutInputs:
        """What the network is asked for."""
        actor = self.actors[speaker.actor]
        found = rollout_inputs(self.spec, self.options, sound, speaker)
        if self.postprocess and actor.on_coefficients:
            found = replace(found, samples=found.samples * np.float32(actor.config["input_strength"]))
        implicit = found.implicit if actor.implicit is None else actor.implicit
        return replace(found, given=given, implicit=implicit)

    def animate(
        self,
        sound: Waveform,
        speaker: Speaker,
        store: Path | None = None,
        label: str | None = None,
        given: Given | None = None,
    ) -> Take:
        """The face for a whole sound, around what is `given` of it. `store` is a folder for the frames of long ones;
        `label` names the progress bar."""
        actor, fps, count = self.actors[speaker.actor], float(self.spec.fps), self.num_frames(sound)
        blocks = _counted(self.blocks(sound, speaker, given), count, label)
        return (_shown_face if self.postprocess else _plain_face)(_regrouped(blocks), count, actor, fps, store)

    def frame_bytes(self, actor: str) -> int:
        """Bytes of the meshes of a frame."""
        return 4 * sum(rest_pose(self.actors[actor].data, mesh).size for mesh in MESHES)


def load_own(spec: NetworkSpec, track: Track) -> Waveform:
    """The sound that a network moves to, as it was trained on it. Raises UserError when it cannot be read."""
    return load_track(track, spec.audio_method, spec.audio_params["samplerate"])


def load_partner(spec: NetworkSpec, track: Track | None, early_s: float = 0.0) -> Waveform | None:
    """The sound of a partner, from `early_s` on; None where there is nobody, or the network hears none."""
    if track is None or not spec.extra.get("partner", False):
        return None
    waveform = load_track(track, PARTNER_METHOD, spec.audio_params["samplerate"])
    start = round(early_s * waveform.sample_rate)
    return replace(waveform, samples=cut(waveform.samples, start, max(len(waveform.samples), start)))


def rollout_inputs(spec: NetworkSpec, options: Options, sound: Waveform, speaker: Speaker) -> RolloutInputs:
    """What a network is asked for, of any actor: sounds at its level, frames, emotion, noise."""
    standardize, partner = spec.extra.get("standardize", False), None
    if speaker.partner is not None:
        own = sound.samples / np.float32(sound.peak)
        partner = partner_samples(speaker.partner, own, sound.peak, standardize)
    return RolloutInputs(
        normalized_samples(sound, standardize),
        frame_count(len(sound.samples), sound.sample_rate, spec.fps),
        spec.actors.index(options.behaviour or speaker.actor),
        lambda frames: spec.emotion_track(speaker.emotion, (frames + 0.5) / spec.fps),
        seed=options.seed,
        take=speaker.take,
        partner=partner,
    )


def load_animator(
    run: TrainRun, actors: Mapping[str, Actor], options: Options, device: Any, postprocess: bool = False
) -> Animator:
    """The network of a training run on a torch.device, ready to animate. Raises UserError when something is missing."""
    rollout = run_family(run).load(run, device, options)
    return Animator(run.spec, actors, rollout, options, postprocess)


# ---- from rows to a face


def rest_pose(data: Mapping[str, np.ndarray], mesh: str) -> np.ndarray:
    """A mesh (V, 3) at rest: the mean of its coefficients, or what offsets are from."""
    return data[f"shapes_mean_{mesh}" if f"shapes_matrix_{mesh}" in data else f"neutral_{mesh}"]


def _rest_row(actor: Actor) -> np.ndarray | None:
    """What rows of offsets are offsets from (C,): the meshes at rest, zeros for all else. None for coefficients."""
    if actor.on_coefficients:
        return None
    rest = {mesh: rest_pose(actor.data, mesh).ravel() for mesh in MESHES}
    sizes = actor.codec.layout.sizes
    return np.concatenate([rest.get(part_of(name), np.zeros(size, np.float32)) for name, size in sizes.items()])


def _plain_face(blocks: Iterable[np.ndarray], count: int, actor: Actor, fps: float, store: Path | None = None) -> Take:
    """Rows as a face in data units: skin (T, V, 3) and tongue (T, Vt, 3) positions, jaw (T, 5, 3) offsets of key points
    from their neutral, eye (T, 4) degrees, groups of curves raw (T, D). Positions that are rows already are views of them."""
    codec, rest = actor.codec, _rest_row(actor)
    rows = empty_frames((count, codec.layout.size), store if rest is not None else None, "rows")
    first = 0
    for block in blocks:
        rows[first : (first := first + len(block))] = block if rest is None else block + rest
    out = {c.part: empty_frames((count, *c.basis.mean.shape), store, c.part) for c in codec.channels if c.basis}
    return Take(rows, FaceAnimation(fps, codec.decode(rows, out)))


def _shown_face(blocks: Iterable[np.ndarray], count: int, actor: Actor, fps: float, store: Path | None = None) -> Take:
    """Rows as the runtime shows them: skin (T, V, 3) and tongue (T, Vt, 3) positions, jaw (T, 4, 4) transforms of the lower
    teeth, eye (T, 6) degrees: right then left, each about x, y, z. Groups of curves raw (T, D), as the network gives them."""
    built, rest = chain.build(actor.config, actor.data, float(chain.frame_duration_s(fps))), _rest_row(actor)
    rows, face = (
        empty_frames((count, actor.codec.layout.size), store if rest is not None else None, "rows"),
        built.layout.size,
    )
    channels = {
        "skin": empty_frames((count, *built.skin.neutral.shape), store, "skin"),
        "tongue": empty_frames((count, *built.tongue.rest.shape), store, "tongue"),
        "jaw": np.empty((count, 4, 4), np.float32),
        "eye": np.empty((count, 6), np.float32),
    }
    state, first = None, 0
    for block in blocks:
        place = slice(first, first := first + len(block))
        rows[place] = block if rest is None else block + rest
        # Offsets as the written rows have them, rounded to positions: a chain over the file gives these very numbers.
        offsets = block if rest is None else rows[place] - rest
        frames, state = chain.apply(built, offsets[:, :face], state)
        for name, values in (
            ("skin", frames.skin),
            ("tongue", frames.tongue),
            ("jaw", frames.jaw),
            ("eye", frames.eyes),
        ):
            channels[name][place] = values
    return Take(rows, FaceAnimation(fps, {**channels, **actor.codec.curves.decode(rows[:, face:])}))


def _counted(blocks: Iterable[np.ndarray], count: int, label: str | None) -> Iterator[np.ndarray]:
    """The same blocks, with progress; they must have `count` frames."""
    with Bar(count, label or "", "frame", shown=label is not None) as progress:
        for block in blocks:
            yield block
            progress.update(len(block))
        assert progress.done == count, (progress.done, count)


def _regrouped(blocks: Iterable[np.ndarray], size: int = BLOCK) -> Iterator[np.ndarray]:
    """The same rows, `size` at a time: a product of matrices hangs in its last bits on how many come together."""
    waiting: list[np.ndarray] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) >= size:
            rows = np.concatenate(waiting)
            whole = len(rows) // size * size
            yield from np.split(rows[:whole], whole // size)
            waiting = [rows[whole:]]
    if rest := [block for block in waiting if len(block)]:
        yield np.concatenate(rest)


def empty_frames(shape: tuple[int, ...], store: Path | None, name: str) -> np.ndarray:
    """An array to be filled: in memory, or in a file of the folder `store`."""
    if store is None:
        return np.empty(shape, np.float32)
    path = store / f"{name}.npy"
    frames = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    with path.open("r+b") as file:
        reserve(file, path.stat().st_size)
    return frames
