"""A corrected copy of a data set: names, lengths, rates, offsets. The original is only read.

Repaired are: stray files, names that differ in case or separators, sounds that are too long, late or early, at too low a
rate, with a dead or opposed channel or another length in the header, animations longer than their sound, caches at another
rate than CACHE_FPS, single lost frames. What needs a person (a missing or empty sound, a wrong unit, an exchanged list) is
copied as it is.
"""

from __future__ import annotations

import pprint
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audio2face.dataset.caches import read_frames
from audio2face.dataset.captured import CapturedActor, Mesh, readable
from audio2face.dataset.files import PATHS, VOICES_FOLDER, DatasetFiles
from audio2face.dataset.shots import simple_name
from audio2face.dataset.sync_checks import deviating
from audio2face.doctor.caches import SHORTEST_SHOT_S
from audio2face.doctor.check import ActorReport
from audio2face.doctor.repair import ShotPlan, fill_lost_frames, repaired_sound
from audio2face.face.frames import resample_frames, resampled_length
from audio2face.formats.json_file import write_json
from audio2face.formats.npy import read_npz, write_npy, write_npz
from audio2face.formats.sound import SOUND_SUFFIXES, read_sound, sound_info, with_right_header, write_sound
from audio2face.formats.time_code import same_rate
from audio2face.listing import is_system_file, natural_order
from audio2face.paths import external_path, host_root, replace_folder
from audio2face.problems import UserError
from audio2face.types import Cache

if TYPE_CHECKING:
    from audio2face.config import Section

STAY = ("PARTNER_AUDIO_ROOT",)  # paths of what is not copied
LOSSLESS = (".wav", ".flac")  # what a repaired sound is written as; others become .wav
PLACES = {  # field of DatasetFiles -> folder in the copy; single files by the beginning of their field
    "audio_root": "audio",
    "skin_cache_root": "cache/skin",
    "tongue_cache_root": "cache/tongue",
    "skin_": "geom/skin",
    "tongue_": "geom/tongue",
    "jaw_": "xform",
    "eye_": "xform",
    "blendshape_": "bs_data",
}


def write_fixed_copy(
    sections: Mapping[str, Section], reports: Sequence[ActorReport], out: Path
) -> dict[str, list[str]]:
    """Write <out>/<actor>/…, config_dataset.py and changes.json; returns {actor: what was changed}.

    The folder appears when it is complete. Raises UserError when `out` is not an empty or new folder, or lies inside the
    data.
    """
    for report in reports:
        if report.data is not None:
            _check_out(out, report.data.files)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        changes = _write(sections, reports, partial, out)
        partial.chmod(0o755)
        if out.is_dir():
            out.rmdir()
        replace_folder(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return changes


def _write(
    sections: Mapping[str, Section], reports: Sequence[ActorReport], folder: Path, final: Path
) -> dict[str, list[str]]:
    """Fill `folder`, which will be renamed to `final`."""
    changes: dict[str, list[str]] = {}
    copies: dict[str, DatasetFiles] = {}
    for report in reports:
        if report.data is None:
            changes[report.actor] = ["nothing of this actor could be read: not copied"]
            continue
        if not report.data.skin:
            changes[report.actor] = ["only actors with a skin can be corrected: not copied"]
            continue
        changes[report.actor], placed = _copy_actor(report, report.data, folder / report.actor)
        there: dict[str, Any] = {name: final / path.relative_to(folder) for name, path in placed.items()}
        copies[report.actor] = DatasetFiles(report.actor, **there)
    text = build_config_text(sections["dataset"], copies)
    (folder / "config_dataset.py").write_text(text, encoding="utf-8")
    write_json(folder / "changes.json", changes)
    return changes


def check_new(out: Path) -> None:
    """The copy never goes over something: `out` must be new or an empty folder. Raises UserError."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--fix {external_path(str(out))} already exists; choose a new or empty folder")


def _check_out(out: Path, files: DatasetFiles) -> None:
    check_new(out)
    roots = [getattr(files, name) for name in PATHS if getattr(files, name) is not None]
    inside = next((root for root in roots if out.resolve().is_relative_to(root.resolve())), None)
    if inside:
        raise UserError(f"--fix {external_path(str(out))} lies inside the data ({external_path(inside)})")


def _copy_actor(report: ActorReport, data: CapturedActor, home: Path) -> tuple[list[str], dict[str, Path]]:
    files = data.files
    plans = _plan(report, data)
    placed: dict[str, Path] = {}
    changes: list[str] = []
    for name in PATHS:
        source = getattr(files, name)
        if source is None:
            continue
        folder = next(place for start, place in PLACES.items() if name.startswith(start))
        placed[name] = home / folder if name.endswith("_root") else home / folder / source.name
        placed[name].parent.mkdir(parents=True, exist_ok=True)
    for name, mesh in (("skin_cache_root", data.skin_mesh), ("tongue_cache_root", data.tongue_mesh)):
        if name in placed:
            _copy_caches(mesh, plans, placed[name], data.fps)
    if "audio_root" in placed and files.audio_root is not None:
        changes += _copy_sounds(data, plans, files.audio_root, placed["audio_root"])
        for voice in files.voices():
            place = Path(VOICES_FOLDER) / voice
            changes += _copy_sounds(data, plans, files.audio_root / place, placed["audio_root"] / place)
    for name, path in placed.items():
        source = getattr(files, name)
        if name in ("jaw_anim_data_fpath", "eye_anim_data_fpath"):
            changes += _copy_motion(data, plans, source, path)
        elif not name.endswith("_root"):
            shutil.copy2(source, path)
    lines = [f"{plan.name}: {change}" for plan in plans.values() for change in plan.changes]
    return lines + changes, placed


def _plan(report: ActorReport, data: CapturedActor) -> dict[str, ShotPlan]:
    """Trims and shifts of every shot. Lengths are left alone when CACHE_FPS itself seems wrong."""
    lengths_count = not any(f.rule == "cache.fps" for f in report.findings)
    late = deviating(data, report.lags)
    plans = {}
    for shot in data.shots:
        cache = data.skin[shot.name]
        plan = ShotPlan(shot.name, shot.num_frames, late.get(shot.name, 0.0))
        if cache.fps is not None and not same_rate(cache.fps, data.fps):
            plan.own_fps = cache.fps
            plan.num_frames = resampled_length(cache.num_frames, cache.fps, data.fps)
            plan.changes.append(f"animation resampled from {cache.fps:g} to {data.fps:g} frames a second")
        path = sound_of(data, shot.name)
        info = readable(sound_info, path) if path else None
        sounding = info.duration_s * data.fps - plan.late_frames if info else plan.num_frames
        left = int(sounding + 0.1)
        if info and left < min(plan.num_frames, SHORTEST_SHOT_S * data.fps):
            plan.late_frames = 0.0
            plan.changes.append(f"its sound lasts only {info.duration_s:.2f} s: {plan.num_frames} frames are kept")
        elif info and lengths_count and abs(sounding - plan.num_frames) > 1:
            if sounding < plan.num_frames:
                plan.changes.append(f"animation cut from {plan.num_frames} to {left} frames; check its CLIPS")
                plan.num_frames = left
            plan.trimmed = True
        plans[shot.name] = plan
    return plans


def sound_of(data: CapturedActor, shot: str, folder: Path | None = None) -> Path | None:
    """The sound of a shot, also when its name differs in case or separators."""
    folder = folder or data.files.audio_root
    if folder is None or not folder.is_dir():
        return None
    exact = next((p for s in SOUND_SUFFIXES if (p := folder / f"{shot}{s}").is_file()), None)
    names = {s.name for s in data.shots}
    alike = (
        p
        for p in natural_order(folder.iterdir())
        if p.is_file()
        and p.suffix.lower() in SOUND_SUFFIXES
        and p.stem not in names
        and simple_name(p.stem) == simple_name(shot)
    )
    return exact or next(alike, None)


# ---- animations


def _copy_caches(mesh: Mesh, plans: dict[str, ShotPlan], root: Path, fps: float) -> None:
    for shot, cache in mesh.caches.items():
        folder = root / shot
        folder.mkdir(parents=True, exist_ok=True)
        plan = plans.get(shot) or ShotPlan(shot, cache.num_frames)
        changed = _repaired(cache, plan, fps)
        if changed is None:
            for path in cache.path.parent.iterdir():
                if path.is_file() and not is_system_file(path):
                    shutil.copy2(path, folder / path.name)
        else:
            write_npy(folder / f"{shot}.npy", changed)


def _repaired(cache: Cache, plan: ShotPlan, fps: float) -> np.ndarray | None:
    """The frames to write, or None when the file can be copied as it is."""
    stored = read_frames(cache)
    lost = any(not np.isfinite(stored[i : i + 64]).all() for i in range(0, len(stored), 64))
    if not lost and plan.own_fps is None and len(stored) <= plan.num_frames:
        return None
    frames = np.array(stored, np.float32)
    if lost:
        frames, count = fill_lost_frames(frames)
        if count:
            plan.changes.append(f"{count} lost frame(s) of {cache.path.name} filled in")
    if plan.own_fps is not None:
        frames = resample_frames(frames, plan.own_fps, fps)
    return frames[: plan.num_frames]


def _copy_motion(data: CapturedActor, plans: dict[str, ShotPlan], source: Path, path: Path) -> list[str]:
    """Jaw or eye motion with the shots' names, lengths and rate."""
    motion = readable(read_npz, source)
    if motion is None:
        shutil.copy2(source, path)
        return []
    changes, result = [], {}
    for name, frames in motion.items():
        alike = [s for s in plans if simple_name(s) == simple_name(name) and s not in motion]
        shot = name if name in plans else alike[0] if len(alike) == 1 else None
        if shot is None:
            changes.append(f"{source.name}: {name!r} left out: no such shot")
            continue
        if shot != name:
            changes.append(f"{source.name}: {name!r} renamed to {shot!r}")
        plan = plans[shot]
        if plan.own_fps is not None and len(frames) == data.skin[shot].num_frames:
            frames = resample_frames(np.asarray(frames, np.float32), plan.own_fps, data.fps)
        if len(frames) > plan.num_frames:
            changes.append(f"{source.name}: {shot} cut from {len(frames)} to {plan.num_frames} frames")
        result[shot] = frames[: plan.num_frames]
    write_npz(path, result)
    return changes


# ---- sounds


def _copy_sounds(data: CapturedActor, plans: dict[str, ShotPlan], source: Path, folder: Path) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    changes = []
    for shot, plan in plans.items():
        path = sound_of(data, shot, source)
        if path is None:
            continue
        sound, voices = readable(read_sound, path), data.files.roles.own is not None
        samples, rate, done = (
            repaired_sound(*sound, plan, data.fps, voices) if sound is not None and len(sound[0]) else (None, 0, [])
        )
        suffix = path.suffix.lower()
        target = folder / f"{shot}{'.wav' if done and suffix not in LOSSLESS else suffix}"
        if (path.stem, path.suffix.lower()) != (shot, target.suffix):
            changes.append(f"{path.name} renamed to {target.name}")
        if samples is None:
            changes.append(f"{target.name}: not a readable sound file; copied as it is")
            shutil.copy2(path, target)
            continue
        if done:
            write_sound(target, samples, rate)
        elif content := with_right_header(path):
            target.write_bytes(content)
            done.append("its length entered in the header")
        else:
            shutil.copy2(path, target)
        changes += [f"{target.name}: {what}" for what in done]
    used = {sound_of(data, shot, source) for shot in plans}
    left = [p.name for p in natural_order(source.iterdir()) if p.is_file() and p not in used]
    return changes + [f"{name} left out" for name in left]


# ---- config


def build_config_text(dataset: Section, copies: Mapping[str, DatasetFiles]) -> str:
    """config_dataset.py of the copy: its paths, and what the project's own file says besides."""
    values = {k: v for k, v in dataset.modifier.items() if k.lower() not in PATHS or k in STAY}
    values["CACHE_FPS"] = dict(dataset.CACHE_FPS)
    values["ACTOR_NAMES"] = [actor for actor in dataset.ACTOR_NAMES if actor in copies]
    for name in PATHS:
        paths = {a: container_path(path) for a, files in copies.items() if (path := getattr(files, name))}
        if paths:
            values[name.upper()] = paths
    lines = [f"{key} = {pprint.pformat(value, width=110, sort_dicts=False)}" for key, value in sorted(values.items())]
    return '"""The data set as corrected by the doctor."""\n\n' + "\n".join(lines) + "\n"


def container_path(path: Path) -> str:
    """A path as configs name it: below /datasets when it lies there."""
    root = host_root("/datasets")
    if root is not None and path.resolve().is_relative_to(root.resolve()):
        return f"/datasets/{path.resolve().relative_to(root.resolve()).as_posix()}"
    return str(path.resolve())
