"""Keyframes as what is known of an animation: values of groups at some frames, told to the network and kept."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from audio2face.face.codec import FaceCodec
from audio2face.face.layout import ChannelLayout
from audio2face.formats.keyframes import KeyedGroup, Keyframes, read_keyframes
from audio2face.inference.talks import Talk
from audio2face.models.common.rollout import Given
from audio2face.paths import external_path, local_path
from audio2face.problems import UserError, raise_problems
from audio2face.runs.train_run import TrainRun

logger = logging.getLogger(__name__)

KEYS = "_keys.npz"  # after the name of a sound


def read_keys(
    path: str | None, talks: Sequence[Talk], codecs: Mapping[str, FaceCodec], takes: int = 1
) -> dict[str, Keyframes]:
    """{name of a talk: keyframes}: of a file, or of the files `<name>_keys.npz` of a folder, or there of single takes,
    `<name>_take2_keys.npz`, by that name. `codecs` are those of the actors.

    Raises UserError with everything that is wrong with them.
    """
    if path is None:
        return {}
    found, problems = {}, []
    for name, actor, file in _key_files(local_path(path), talks, takes):
        try:
            found[name] = read_keyframes(file)
        except (ValueError, OSError) as error:
            problems.append(f"KEYFRAMES_PATH: {error}")
            continue
        problems += key_problems(found[name], codecs[actor], f"KEYFRAMES_PATH {external_path(file)}")
    raise_problems(problems)
    return found


def _key_files(place: Path, talks: Sequence[Talk], takes: int) -> list[tuple[str, str, Path]]:
    """(name, actor, file) of the keyframes that there are. Raises UserError when there are none."""
    what = f"KEYFRAMES_PATH {external_path(place)}"
    if not place.exists():
        raise UserError(f"{what}: no such file or folder")
    if not place.is_dir():
        if len(talks) > 1:
            raise UserError(f"{what}: one file, and {len(talks)} animations: give a folder of <name>{KEYS}")
        return [(talks[0].name, talks[0].actor, place)]
    names = [(name, talk.actor) for talk in talks for name in dict.fromkeys((talk.name, *take_names(talk, takes)))]
    files = [(name, actor, file) for name, actor in names if (file := place / f"{name}{KEYS}").is_file()]
    if not files:
        raise UserError(f"{what}: the folder has no {', '.join(f'{talk.name}{KEYS}' for talk in talks[:3])}")
    return files


def take_names(talk: Talk, takes: int) -> list[str]:
    """What files of keyframes begin with, for each take of a talk; that of a single one is the talk's name."""
    return [talk.name] if takes == 1 else [f"{talk.name}_take{take + 1}" for take in range(takes)]


def key_problems(keys: Keyframes, codec: FaceCodec, where: str) -> list[str]:
    """Why keyframes cannot be used with the groups that a network moves; lines begin with `where`."""
    groups, lines = codec.groups, []
    for group, values in keys.groups.items():
        if group not in groups:
            known = ", ".join(groups) or "none"
            lines.append(f"{where}: group {group!r} is not one that the model moves ({known}){_near(group, groups)}")
            continue
        own = groups[group].names
        lines += [
            f"{where}: group {group!r} has no column {column!r}{_near(column, own)}"
            for column in values.names
            if column not in own
        ]
        if codec[group].curve_basis is not None:
            lines.append(f"{where}: group {group!r} was trained by components (CURVES_COMPONENTS): it takes no keys")
    return lines


def given_keys(keys: Keyframes, run: TrainRun, actor: str, num_frames: int) -> Given:
    """What keyframes say of `num_frames` of an actor that the network of a run animates: keys after their end say nothing.

    A group whose columns are all known at a frame is told to the network; every known value is kept. Raises UserError for
    groups and columns that the model does not have.
    """
    codec, layout = run.spec.output_codec(run.actor(actor)), ChannelLayout(run.spec.max_sizes)
    raise_problems(key_problems(keys, codec, "keyframes"))
    placed = keys.at_rate(float(run.spec.fps))
    inside = placed.frames < num_frames
    frames = placed.frames[inside]
    if not len(frames):
        logger.warning(
            "none of the %d keyframes lies in the %d frames of the animation", len(placed.frames), num_frames
        )
    values: dict[str, np.ndarray] = {}
    held = {name: np.zeros((num_frames, size), np.float32) for name, size in layout.sizes.items()}
    flags = {name: np.zeros(num_frames, np.float32) for name in layout.sizes}
    for name, own in placed.groups.items() if len(frames) else ():
        group = codec.groups[name]
        raw, known = _columns(own, group.names, inside)
        encoded, there = group.encode(raw, known)
        size = encoded.shape[1]
        values[name] = np.zeros((num_frames, size), np.float32)
        values[name][frames] = np.where(there, encoded, 0)
        held[name][frames, :size] = there
        flags[name][frames] = there.all(axis=1)
    normalised = (
        codec.normalise(codec.padded(values, layout), layout) if values else np.zeros((num_frames, layout.size))
    )
    keep = layout.join(held)
    return Given((normalised * keep).astype(np.float32), np.stack([*flags.values()], axis=1), keep)


def _columns(keys: KeyedGroup, names: tuple[str, ...], inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Raw values (K, D) of the keys `inside`, in the order of a group's columns, and which are known."""
    raw = np.full((int(inside.sum()), len(names)), np.nan, np.float32)
    for column, name in enumerate(keys.names):
        raw[:, names.index(name)] = keys.values[inside, column]
    known = ~np.isnan(raw)
    return np.where(known, raw, 0), known


def _near(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
