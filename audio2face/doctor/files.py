"""Names: stray files, sounds without a shot and shots without a sound, names that differ by a letter."""

from __future__ import annotations

from pathlib import Path

from audio2face.dataset.captured import CapturedActor
from audio2face.dataset.places import VOICES_FOLDER, shot_folders
from audio2face.dataset.shots import simple_name
from audio2face.formats import ANIMATION_READERS
from audio2face.formats.sound import SOUND_SUFFIXES
from audio2face.listing import is_system_file, natural_order, passed_over
from audio2face.problems import Problems

OTHER_SOUNDS = {".m4a", ".aac", ".wma", ".amr", ".webm", ".mp4", ".mov", ".avi", ".mkv"}
COMPANIONS = {".mc", ".mcx"}  # of .xml
OPTIONAL = {  # what a data set may lack, and what its lack means
    "skin_neutral_fpath": "the mean of the chosen poses is used as the face at rest",
    "skin_lip_dist_vertex_list_fpath": "lip closure is not trained separately, and the mouth is guessed here",
    "skin_eye_dist_vertex_list_fpath": "closed eyes are not recognised",
    "skin_eye_close_pose_delta_fpath": "the deployed model cannot blink",
    "tongue_cache_root": "the deployed tongue does not move",
    "jaw_anim_data_fpath": "the lower teeth do not move",
    "eye_anim_data_fpath": "the gaze does not move",
}


def check_files(report: Problems, data: CapturedActor) -> None:
    """Presence and names of everything that belongs to the actor."""
    files = data.files
    for key, root in (("SKIN_CACHE_ROOT", files.skin_cache_root), ("TONGUE_CACHE_ROOT", files.tongue_cache_root)):
        if root is not None:
            _cache_folder(report, key, root)
    if files.audio_root is not None:
        _sounds(report, data, files.audio_root, None)
        voices = files.audio_root / VOICES_FOLDER
        for voice in files.voices():
            _sounds(report, data, voices / voice, voice)
        if voices.is_dir():
            _left(report, "AUDIO_ROOT", voices, [p for p in voices.iterdir() if not p.is_dir()])
    _tongue_shots(report, data)
    of_curves = files.curves and files.skin_cache_root is None  # nobody expects a mesh's files
    for name, consequence in OPTIONAL.items():
        if getattr(files, name) is None and not of_curves:
            report.info("files.optional", f"Not given or not found: {consequence}.", key=name.upper())
    alike: dict[str, list[str]] = {}
    for shot in data.shots:
        alike.setdefault(simple_name(shot.name), []).append(shot.name)
    for names in alike.values():
        if len(names) > 1:
            what = f"The shots {' and '.join(names)} differ by letter case or separators only."
            report.warning("files.similar_names", what, "Rename one, or their sounds will be mixed up.", shot=names[1])


def _cache_folder(report: Problems, key: str, root: Path) -> None:
    for path in natural_order(root.iterdir()):
        if is_system_file(path):
            _stray(report, key, path)
        elif path.is_file():
            what = "A file lies where only folders of shots belong; it is not read."
            report.warning("files.stray", what, f"Move it into {root.name}/<shot>/.", file=path, key=key)
    for shot in shot_folders(root):
        there = natural_order((root / shot).iterdir())
        of_shot = {*ANIMATION_READERS, *COMPANIONS}
        _left(report, key, root / shot, [p for p in there if p.suffix.lower() not in of_shot], shot)
        for path in there:
            if is_system_file(path):
                _stray(report, key, path)
            elif path.suffix.lower() in ANIMATION_READERS and path.stem != shot:
                what = f"An animation of another name lies in the folder of shot {shot}; it is not read."
                report.warning("files.stray", what, "Move it away, or rename it.", shot=shot, file=path, key=key)


def _stray(report: Problems, key: str, path: Path) -> None:
    what = f"{path.name} is a file of the operating system; it is not read."
    report.warning("files.system_file", what, "Delete it.", file=path, key=key)


def _left(report: Problems, key: str, folder: Path, paths: list[Path], shot: str = "") -> None:
    """What nothing reads: sub-folders and sounds of other formats are warnings, other files infos."""
    sounds = [p for p in paths if p.suffix.lower() in {*OTHER_SOUNDS, *SOUND_SUFFIXES} and not p.is_dir()]
    for line in passed_over(sounds):
        what, fix = f"Not read as speech: {line}.", "Convert to <shot>.wav in AUDIO_ROOT."
        report.warning("files.sound_format", what, fix, shot=shot, file=folder, key=key)
    for line in passed_over(p for p in paths if p.is_dir()):
        what, fix = f"Sub-folders are not searched: {line}.", "Move files that should be read."
        report.warning("files.folder", what, fix, shot=shot, file=folder, key=key)
    for line in passed_over(p for p in paths if p not in sounds and not p.is_dir()):
        report.info("files.stray", f"Not read: {line}.", shot=shot, file=folder, key=key)


def _sounds(report: Problems, data: CapturedActor, folder: Path, voice: str | None) -> None:
    shots = {shot.name for shot in data.shots}
    known = shots | {name for name in shot_folders(data.files.skin_cache_root)} if data.files.skin_cache_root else shots
    free: dict[str, Path] = {}  # sounds that no shot asks for
    left: list[Path] = []
    for path in natural_order(folder.iterdir()):
        if is_system_file(path):
            _stray(report, "AUDIO_ROOT", path)
        elif path.suffix.lower() not in SOUND_SUFFIXES or path.is_dir():
            left += [path] if voice or path.name != VOICES_FOLDER else []
        elif path.suffix in SOUND_SUFFIXES and path.stem in known:
            taken = data.files.audio_file(path.stem, voice)
            if taken is not None and taken != path:
                what = f"{path.stem} has a {taken.suffix} and a {path.suffix}; only the {taken.suffix} is read."
                report.warning("files.two_sounds", what, "Keep one.", shot=path.stem, file=path, key="AUDIO_ROOT")
        else:
            free[simple_name(path.stem)] = path
    _left(report, "AUDIO_ROOT", folder, left)
    missing = [] if voice else [s.name for s in data.shots if data.files.audio_file(s.name, voice) is None]
    for shot in missing:
        match = free.pop(simple_name(shot), None)
        if match is not None:
            what = f"The sound of shot {shot} is called {match.name}; names must match exactly."
            fix = f"Rename it to {shot}{match.suffix.lower()}."
            report.error("files.sound_name", what, fix, shot=shot, file=match, key="AUDIO_ROOT")
        elif len(missing) < len(data.shots):
            what = f"Shot {shot} is in the cache and has no sound {shot}.wav; it is not trained on."
            report.warning("files.no_sound", what, "Add the sound, or leave the shot out.", shot=shot, key="AUDIO_ROOT")
    for path in free.values():
        what = f"{path.name} has no matching shot in the skin cache; it is not used."
        fix = f"Name it after its shot, or add the cache of shot {path.stem}."
        report.warning("files.no_cache", what, fix, shot=path.stem, file=path, key="AUDIO_ROOT")


def _tongue_shots(report: Problems, data: CapturedActor) -> None:
    if data.files.tongue_cache_root is None:
        return
    skin = {shot.name for shot in data.shots}
    there = set(shot_folders(data.files.tongue_cache_root))
    without = natural_order(skin - there)
    alone = natural_order(there - set(shot_folders(data.files.skin_cache_root or Path())))
    key = "TONGUE_CACHE_ROOT"
    for shot in without:
        fix = "Add it, or accept that this shot does not train the tongue."
        report.warning("files.no_tongue", "No tongue animation for this shot.", fix, shot=shot, key=key)
    for shot in alone:
        report.warning(
            "files.tongue_alone", "A tongue without skin; it is not used.", "Check its name.", shot=shot, key=key
        )
