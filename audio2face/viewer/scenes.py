"""What the viewer can show, as libraries: animation files, a deployed model, a data set, and every kind of run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from audio2face.dataset.files import DatasetFiles
from audio2face.deploy.check.model import model_folders
from audio2face.formats.body_mesh import BodyMesh
from audio2face.formats.json_file import read_json
from audio2face.inference import load_model
from audio2face.inference.edit.parts import changeable
from audio2face.inference.package import run_actor
from audio2face.inference.takes_file import TAKES_FILE
from audio2face.inference.talks import partner_track
from audio2face.paths import local_path
from audio2face.problems import UserError
from audio2face.runs.manifest import size_faults
from audio2face.runs.train_run import TrainRun, load_train_run
from audio2face.types import Track
from audio2face.viewer.actors import Actor, find_eyes
from audio2face.viewer.curve_files import bones_of, curve_files_track, find_curves
from audio2face.viewer.curve_groups import ShownGroups, find_group_files, group_files_track, table_track
from audio2face.viewer.heads import figure_actor, head_actor
from audio2face.viewer.library import Library, ShotView
from audio2face.viewer.live import LiveModel
from audio2face.viewer.project import DEFAULT_FPS, Project
from audio2face.viewer.sources import ClipFiles, Extras, file_track, find_clips, find_sound
from audio2face.viewer.studio import Prepare, Settings, Studio
from audio2face.viewer.tracks import AnimationStream

MOST_FPS = 1000
_Read = TypeVar("_Read")


@dataclass(frozen=True)
class ViewRequest:
    """What the user typed. `name` is a run, `latest` or an actor; the rest is for animation files without a project."""

    what: str
    name: str | None = None
    kind: str | None = None
    audio: Path | None = None
    triangles: Path | None = None
    fps: float | None = None
    channel: str | None = None


# ---- files


def of_path(place: Path, request: ViewRequest) -> Library:
    """What a folder holds: a deployed model, animations, or curves. Raises UserError when it holds none of these."""
    clips = [] if (place / "model.json").is_file() else find_clips(place, request.channel)
    if not clips and place.is_dir() and any((f / "model.json").is_file() for f in model_folders(place)):
        return _of_model(place)
    if not clips and (curves := find_curves(place)):
        return _of_curves(place, curves, request)
    if not clips:
        with_channel = f" with a channel {request.channel!r}" if request.channel else ""
        raise UserError(
            f"{place} holds no animation{with_channel}: expected .npy (frames, vertices, 3), .xml or .pc2 files, "
            ".csv, .tsv or .npz with blendshape weights, .bvh files, or a deployed model"
        )
    triangles = DatasetFiles("", skin_triangles_fpath=request.triangles).skin_triangles() if request.triangles else None
    actor = Actor("", {"skin": triangles} if triangles is not None else {})
    fps = request.fps or DEFAULT_FPS
    shots = []
    for clip in clips:
        folder = clip.files["skin"].parent
        sound = (
            request.audio
            if request.audio and request.audio.is_file()
            else find_sound(request.audio or folder, clip.name)
        )
        shots.append(ShotView(clip.name, "", sound=sound, prediction=partial(file_track, clip, fps, Extras())))
    notices = (
        [] if triangles is not None else ["Points only: pass the mesh's faces with --triangles FILE (.npy, .obj)."]
    )
    if (place / "configs").is_dir():
        notices.append(f"As a run, with surface, sound and truth: python -m runners.view CONFIG_NAME {place.name}")
    if not any(shot.sound for shot in shots):
        notices.append("No sound: pass a file, or a folder of files with the animations' names, with --audio.")
    return Library(place.name, [actor], shots, notices=notices)


def _of_curves(place: Path, curves: dict[str, tuple[Path, ...]], request: ViewRequest) -> Library:
    """Curves without a mesh: tables on the built-in head, bodies as skeletons."""
    actors, shots = [head_actor("")], []
    for name, paths in curves.items():
        try:
            bones = bones_of(paths)
        except (OSError, ValueError) as error:
            raise UserError(str(error)) from error
        if bones is not None:
            actors.append(head_actor(name, bones) if len(paths) > 1 else figure_actor(name, bones))
        sound = request.audio if request.audio and request.audio.is_file() else None
        sound = sound or find_sound(request.audio or paths[0].parent, name)
        opened = partial(curve_files_track, paths, request.fps or DEFAULT_FPS)
        shots.append(ShotView(name, "" if bones is None else name, sound=sound, prediction=opened))
    notices = ["Shown on a built-in head: these files hold no mesh."] if any(not s.actor for s in shots) else []
    if not any(shot.sound for shot in shots):
        notices.append("No sound: pass a file, or a folder of files with the animations' names, with --audio.")
    return Library(place.name, actors, shots, notices=notices)


def _of_model(place: Path) -> Library:
    model = load_model(place)
    actors = [_model_actor(model, name) for name in model.actors]
    notices = ["Drop a sound file on the page, or record one, to animate it."]
    bodies = {name: body for name in model.actors if (body := model.details(name).face.topology.body) is not None}
    return Library(place.name, actors, [], LiveModel(lambda: model, bodies), notices + _without_faces(actors))


def _model_actor(model: Any, name: str) -> Actor:
    details = model.details(name)
    if not details.face.has_mesh:
        return ShownGroups(details.face.curves, details.face.topology.body).actor(name)
    topology, data = details.face.topology, details.data
    faces = {"skin": topology.skin, "tongue": topology.tongue}
    rest = data.get("neutral_skin", data.get("shapes_mean_skin"))
    eyes = find_eyes(rest, data["eye_close_pose_delta"])
    return Actor(name, {m: f for m, f in faces.items() if f is not None}, 1000 / topology.units_per_metre, eyes)


# ---- data sets and runs


def of_dataset(project: Project, actors: Sequence[str]) -> Library:
    """The shots of a project's actors as they were captured. Raises UserError when there are none."""
    shots = [shot for actor in actors for shot in project.shots(actor)]
    if not shots:
        nothing = f"{project.name} has no data set to show: its config_dataset names no actor with shots"
        raise UserError(project.problems or nothing)
    found = [project.actor(actor) for actor in _seen_with(project, actors, shots)]
    return Library(f"{project.name}: data set", found, shots, notices=_without_faces(found) + project.notices)


def _of_inference(project: Project, folder: Path) -> Library:
    made_with = folder / "configs" / "training_run_info.json"
    run = _read_as(made_with, lambda about: project.training_run(about["training_run_name_full"]))
    settings = folder / "configs" / "config_inference_full.json"
    audio, given_fps = _read_as(settings, _inputs) or ([], None)
    sides = _read_as(folder / TAKES_FILE, _sides) or {}
    shots: list[ShotView] = []
    clips = _animations(project, run, folder, given_fps)
    places = {sides[clip.name]: place for place, clip in enumerate(clips) if clip.name in sides}
    for clip in clips:
        sounds = [s for p in audio if (s := p if p.is_file() else find_sound(p, clip.name))]
        fitting = [s for s in sounds if clip.name == s.stem or clip.name.startswith(f"{s.stem}_")]
        sound = max(fitting, key=lambda s: len(s.stem), default=None)
        side = sides.get(clip.name)
        sound = side.own.path if side is not None and side.own.path.is_file() else sound
        actor = project.actor_of(clip.name.removeprefix(sound.stem) if sound else clip.name, run)
        shot = project.shot_of(actor, sound) if sound else None
        name = sound.stem if sound else clip.name
        open_it = partial(clip.open, actor)
        shots.append(
            ShotView(
                name,
                actor,
                "" if shot is None else shot.emotion,
                sound,
                None if shot is None else shot.truth,
                open_it,
                note=clip.name.removeprefix(name).strip("_").replace("_", " "),
                source=clip.file,
                beside=clip.beside,
                **_talking(shot, side, places, shots),
            )
        )
    if not shots:
        raise UserError(
            f"inference run {folder.name} holds no animation that can be shown (.npy, .xml, .pc2; curves: .npy, .csv, .npz, .bvh)"
        )
    project.notices += size_faults(folder)
    return _of_run(project, f"{project.name}: inference {folder.name}", run, shots)


@dataclass(frozen=True)
class _Side:
    """Whose voices an animation was made of, as takes.json has it."""

    take: int
    own: Track
    partner: Track | None


def _sides(about: Any) -> dict[str, _Side]:
    def voice(told: Any) -> Track:
        channel = told["channel"]
        if not (channel is None or (type(channel) is int and channel >= 0)):
            raise ValueError(f"channel is {str(channel)[:20]}")
        return Track(local_path(told["file"]), channel)

    return {
        str(take["name"]): _Side(int(take["take"]), voice(take["sound"]), take["partner"] and voice(take["partner"]))
        for take in about["takes"]
        if "sound" in take
    }


def _talking(
    shot: ShotView | None, side: _Side | None, places: Mapping[_Side, int], shots: list[ShotView]
) -> dict[str, Any]:
    """What a view has of the other person: by takes.json, else as captured. `places` are those of the sides among the `shots`."""
    found = {key: None if shot is None else getattr(shot, key) for key in ("channel", "partner", "other")}
    if side is None or side.partner is None:
        return found
    if side.partner.path.is_file():
        found |= {"channel": side.own.channel, "partner": side.partner}
    answer = places.get(_Side(side.take, side.partner, side.own))
    return found if answer is None else {**found, "other": partial(shots.__getitem__, answer)}


@dataclass(frozen=True)
class _Animation:
    """What inference wrote of one sound; `open` gives its track, of an actor; `file` can be edited, and is shown with those `beside` it."""

    name: str
    open: Callable[[str], AnimationStream]
    file: Path | None = None
    beside: tuple[Path, ...] = ()


def _animations(project: Project, run: TrainRun | None, folder: Path, given_fps: float | None) -> list[_Animation]:
    """The animations of an inference run: meshes where there are any, else groups of curves, as arrays or as other files."""

    def rate(actor: str) -> float:
        return given_fps or (run.spec.fps if run else project.cache_fps(actor))

    def mesh(clip: ClipFiles, actor: str) -> AnimationStream:
        return file_track(clip, rate(actor), project.extras(actor, run))

    def arrays(files: Mapping[str, Path], actor: str) -> AnimationStream:
        return group_files_track(files, ShownGroups(known, project.body(actor, run)), rate(actor))

    def others(paths: tuple[Path, ...], actor: str) -> AnimationStream:
        return table_track(paths, project.shown(actor, run) or ShownGroups({}), rate(actor))

    if run is None or any(project.groups(name, run) is None for name in run.spec.actors):
        return [_Animation(clip.name, partial(mesh, clip), clip.files["skin"]) for clip in find_clips(folder)]
    known = {name: what for actor in run.spec.actors for name, what in (project.groups(actor, run) or {}).items()}
    found = find_group_files(folder, known)
    if found:
        return [_Animation(name, partial(arrays, files)) for name, files in found.items()]
    return [
        _Animation(name, partial(others, paths), paths[0], paths[1:]) for name, paths in find_curves(folder).items()
    ]


def _read_as(path: Path, meant: Callable[[Any], _Read]) -> _Read | None:
    """What a JSON file of a run means; None when there is none. Raises UserError for a file that is something else."""
    if not path.is_file():
        return None
    try:
        return meant(read_json(path))
    except (ArithmeticError, AttributeError, IndexError, KeyError, OSError, TypeError, ValueError) as error:
        said = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{path}: not what this framework writes there ({said}); copy the run again") from error


def _inputs(about: Any) -> tuple[list[Path], float | None]:
    """The sounds that a run was given, and its OUTPUT_FPS."""
    listed, fps = about.get("AUDIO_PATH"), about.get("OUTPUT_FPS")
    if fps is not None and not (type(fps) in (int, float) and 0 < fps <= MOST_FPS):
        raise ValueError(f"OUTPUT_FPS is {str(fps)[:20]}")
    return [local_path(path) for path in ([listed] if isinstance(listed, str) else listed or [])], fps


@dataclass(frozen=True)
class _Report:
    """What is shown of a report.json: rows (actor, shot, emotion), errors and how they are told, the shots trained on, their folder."""

    training_run: str
    rows: tuple[tuple[str, str, str], ...]
    errors: dict[tuple[str, str], tuple[float, str]]
    trained_on: frozenset[tuple[str, str]]
    data: Path | None

    @classmethod
    def read(cls, about: Any) -> _Report:
        name, emotion = about["training_runs"][0], about["emotion"]
        errors = _shot_errors(about, name)
        rows = [(str(row["actor"]), str(row["shot"]), str(emotion or row["emotion"])) for row in about["shots"]]
        rows.sort(key=lambda row: -errors[row[:2]][0] if row[:2] in errors else 0.0)  # worst first
        trained_on = frozenset((str(actor), str(shot)) for actor, shot in about.get("trained_on", []))
        return cls(name, tuple(rows), errors, trained_on, Path(about["data"]) if about.get("data") else None)


def _shot_errors(about: Any, name: str) -> dict[tuple[str, str], tuple[float, str]]:
    """Of each (actor, shot) a run's error, and how it is told: of the lips; without a skin of the first group of curves."""
    groups = [(f"{group}, ", what["systems"]) for group, what in about.get("curves", {}).items()]
    found: dict[tuple[str, str], tuple[float, str]] = {}
    for group, systems in [("", about["systems"]), *groups]:
        for row in systems.get(name, {}).get("by_shot", []):
            error = row.get("relative_error" if group else "lip_vertex_error_mm")
            if error is not None:
                told = f"{group}{error:.0%} of the mean pose's error" if group else f"lip error {error:.1f} mm"
                found.setdefault((str(row["actor"]), str(row["shot"])), (float(error), told))
    return found


def _of_evaluation(project: Project, folder: Path) -> Library:
    report = _read_as(folder / "report.json", _Report.read)
    if report is None:
        raise UserError(f"evaluation {folder.name} has no report.json; run run_evaluate.py again")
    run = project.training_run(report.training_run)
    shots = []
    for actor, name, emotion in report.rows:
        shot, error = project.shot(actor, name, report.data), report.errors.get((actor, name))
        if shot is not None:
            known = "trained" if (actor, name) in report.trained_on else "new" if report.data else "held out"
            note = known if error is None else f"{known}, {error[1]}"
            shots.append(ShotView(**{**vars(shot), "start": {emotion: 1.0}, "note": note}))
    project.notices += size_faults(folder)
    return _of_run(project, f"{project.name}: evaluation {folder.name}", run, shots)


def _of_training(project: Project, folder: Path) -> Library:
    run = load_train_run(folder)
    actors = [a for a in run.spec.actors if a in project.actor_names]
    shots = [shot for actor in actors for shot in project.shots(actor)]
    seen = project.trained_shots(run)
    shots = [
        ShotView(**{**vars(shot), "start": {shot.emotion: 1.0}, "note": "" if seen is None else _seen(shot, seen)})
        for shot in shots
    ]
    shots.sort(key=lambda shot: shot.note == "trained")  # those that tell something first
    return _of_run(project, f"{project.name}: model {folder.name}", run, shots)


def _seen(shot: ShotView, seen: set[tuple[str, str]]) -> str:
    return "trained" if (shot.actor, shot.name) in seen else "held out"


def _of_run(project: Project, title: str, run: TrainRun | None, shots: list[ShotView]) -> Library:
    names = _seen_with(project, [*(run.spec.actors if run else []), *(shot.actor for shot in shots)], shots)
    actors = [project.actor(name, run) for name in names]
    bodies = {name: body for name in names if (body := project.body(name, run)) is not None}
    studio = project.studio(run, bodies) if run is not None else None
    model = LiveModel(project.model_loader(run), bodies) if run is not None and studio is None else None
    return Library(title, actors, shots, model, _without_faces(actors) + project.notices, studio)


def _seen_with(project: Project, names: Sequence[str], shots: Sequence[ShotView]) -> list[str]:
    """Everybody who may be seen: actors, and with conversations those whom they may talk to."""
    others = project.files if any(shot.other is not None for shot in shots) else ()
    return list(dict.fromkeys([*names, *others]))


def build_studio(
    run: TrainRun, prepare: Prepare, device: Callable[[], Any], settings: Settings, bodies: Mapping[str, BodyMesh]
) -> Studio:
    """What makes animations with a run's network: `prepare` gets it ready, on the torch.device that `device` gives. `bodies` are
    meshes of actors that move with a skeleton."""
    faces = {name: run_actor(run, name, {}, rigs=False).face for name in run.spec.actors}
    has_mesh = any(face.has_mesh for face in faces.values())
    parts = {name: changeable(face) for name, face in faces.items()}

    def show(files: tuple[Path, ...], actor: str) -> AnimationStream:
        if faces[actor].has_mesh and (clips := find_clips(files[0])):
            return file_track(clips[0], run.spec.fps, Extras(run.actor(actor).network_data.get("neutral_jaw")))
        return table_track(files, ShownGroups(faces[actor].curves, bodies.get(actor)), run.spec.fps)

    return Studio(prepare, device, parts, ["npy"] if has_mesh else ["npz"], show, settings, partial(partner_track, run))


def _without_faces(actors: Sequence[Actor]) -> list[str]:
    """What is said of actors of whom points are drawn, or a head that is not theirs."""
    points = ", ".join(actor.name for actor in actors if "skin" not in actor.triangles and actor.bones is None)
    heads = ", ".join(actor.name for actor in actors if actor.colours)
    faces = f"Points only for {points}: set SKIN_TRIANGLES_FPATH in config_dataset.py to see a surface."
    return [
        *([faces] if points else []),
        *([f"A built-in head shows the curves of {heads}: there is no mesh."] if heads else []),
    ]


RUNS: dict[str, Callable[[Project, Path], Library]] = {
    "inference": _of_inference,
    "evaluate": _of_evaluation,
    "deploy": _of_training,
    "train": _of_training,
}
