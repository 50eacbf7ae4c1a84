"""A data set already in the standard layout: the files found in it, and the vertex lists that it lacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from audio2face.dataset.places import PLACES, VOICES_FOLDER, shot_folders
from audio2face.formats import SeveralChannels, find_animation, read_animation
from audio2face.formats.git_lfs import pointer_problems
from audio2face.formats.npy import read_npy
from audio2face.formats.sound import SOUND_SUFFIXES, read_sound
from audio2face.geometry.vertex_lists import Proposal, propose_lists
from audio2face.importing.dataset import (
    MeshParts,
    ShotParts,
    Written,
    WrittenShot,
    spread_of,
    write_lists,
    written_shot,
)
from audio2face.listing import passed_over
from audio2face.problems import UserError, raise_problems

LISTS = ("lip_dist", "lip_size", "eye_dist")
SAMPLED = 40  # frames of a shot


def survey(
    home: Path, fps: float | None, skin_channel: str | None = None, tongue_channel: str | None = None
) -> tuple[Written, float, list[str]]:
    """What an actor's folder holds, its rate (of the caches when None), and lines of what was decided.

    Of Maya caches with several channels the named ones are read; a tongue's channel without cache/tongue is one of
    cache/skin. Lists that are missing are proposed and written. Raises UserError with everything that is wrong at once.
    """
    files = {key: found for key, place in PLACES.items() if (found := _found(home, place))}
    chosen = {"SKIN_CACHE_CHANNEL": skin_channel, "TONGUE_CACHE_CHANNEL": tongue_channel}
    if tongue_channel:
        files.setdefault("TONGUE_CACHE_ROOT", PLACES["SKIN_CACHE_ROOT"])
    raise_problems(
        [f"{home / PLACES[key]}: no such folder" for key in ("AUDIO_ROOT", "SKIN_CACHE_ROOT") if key not in files]
        + pointer_problems(home / place for place in files.values())
    )
    rest = np.array(read_npy(home / files["SKIN_NEUTRAL_FPATH"]), np.float32) if "SKIN_NEUTRAL_FPATH" in files else None
    shots: list[WrittenShot] = []
    motion: list[np.ndarray] = []
    problems: list[str] = []
    rates: set[float] = set()
    for name in shot_folders(home / "cache/skin"):
        try:
            shot, rate, suffix = _read_shot(home, name, fps, skin_channel)
        except SeveralChannels as error:
            problems.append(f"{error} (--skin-channel, and --tongue-channel when one is the tongue)")
            continue
        except (ValueError, UserError) as error:
            problems.append(str(error))
            continue
        rest = shot.skin.mean(axis=0) if rest is None else rest
        if shot.skin.shape[1:] != rest.shape:
            problems.append(
                f"shot {name}: {shot.skin.shape[1]} vertices, other shots or the face at rest have {len(rest)}"
            )
            continue
        rates.add(rate)
        shots.append(replace(written_shot(shot, rest, rate), suffix=suffix))
        motion.append(shot.skin[:: max(1, len(shot.skin) // SAMPLED)])
    if len(rates) > 1:
        problems.append(f"caches of different rates: {', '.join(f'{r:g}' for r in sorted(rates))}; pass --fps")
    raise_problems(list(dict.fromkeys(problems)) or ([] if shots else [f"{home}: no shots in cache/skin"]))
    poses = np.concatenate(motion)
    notes = [f"found: {', '.join(dict.fromkeys(files.values()))}"]
    used = {home / f"audio/{shot.name}{shot.suffix}" for shot in shots} | {home / "audio" / VOICES_FOLDER}
    unused = passed_over(p for p in (home / "audio").iterdir() if p not in used)
    notes += [f"{home / 'audio'}: not used: {line}" for line in unused]
    lacking = [name for name in LISTS if f"SKIN_{name.upper()}_VERTEX_LIST_FPATH" not in files]
    missing: tuple[str, ...] = ()
    if lacking and "SKIN_NEUTRAL_FPATH" in files:
        added, missing = _propose(home, files, np.asarray(rest), poses, lacking)
        notes += [f"proposed: {place}" for place in added.values()]
        files |= added
    channels = {key: name for key, name in chosen.items() if name}
    return Written(tuple(shots), files, missing, spread_of(poses), channels), rates.pop(), notes


def _found(home: Path, place: str) -> str | None:
    """The path of a file that exists; a vertex list may be a .npy instead."""
    places = [place, place.replace(".json", ".npy")] if place.endswith("_list.json") else [place]
    return next((p for p in places if (home / p).exists()), None)


def _read_shot(home: Path, name: str, fps: float | None, channel: str | None) -> tuple[ShotParts, float, str]:
    """Skin and sound of a shot, its rate (`fps`, or its cache's) and its sound's suffix.

    Raises UserError or ValueError naming the shot.
    """
    sound = next((p for s in SOUND_SUFFIXES if (p := home / f"audio/{name}{s}").is_file()), None)
    if sound is None:
        raise UserError(f"{home / 'audio' / name}.wav: no such file")
    animation = read_animation(find_animation(home / "cache/skin", name), channel)
    rate = fps or animation.fps
    if rate is None:
        raise UserError("the caches carry no frame rate; pass --fps, for example --fps 30")
    samples, sample_rate = read_sound(sound)
    return ShotParts(name, animation.block(), samples, sample_rate), rate, sound.suffix


def _propose(
    home: Path, files: dict[str, str], rest: np.ndarray, poses: np.ndarray, lacking: list[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Write the lists that are lacking; returns their files by key, and what was not found."""

    def stored(key: str) -> np.ndarray | None:
        return np.array(read_npy(home / files[key])) if key in files else None

    found = propose_lists(
        rest, poses, stored("SKIN_EYE_CLOSE_POSE_DELTA_FPATH"), stored("SKIN_LIP_OPEN_POSE_DELTA_FPATH")
    )
    wanted = replace(found, pairs={name: pairs for name, pairs in found.pairs.items() if name in lacking})
    missing = tuple(line for line in found.missing if any(name in line.split(":")[0] for name in lacking))
    proposal = Proposal(wanted.pairs, list(missing))
    return write_lists(home, MeshParts(rest, stored("SKIN_TRIANGLES_FPATH")), proposal), missing
