"""The kinds of files that strangers send: small good ones made by code, and what reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

KINDS = (
    "maya xml", "maya mc", "maya mcx", "pc2", "npy", "npz", "missing npy", "smplx", "keyframes", "body npz", "body glb", "rig npz",
    "flame", "flame clip", "template npz", "topology", "emotions npz", "wav", "flac", "other sound", "film", "curve csv", "curve json",
    "curve txt", "curve npz", "recording", "live link", "viewed csv", "viewed bvh", "edited csv", "edited npz", "edited bvh", "edited glb",
    "bvh", "ply", "obj", "gltf", "glb", "usda", "usdc", "textgrid", "phonemes json", "animation json", "channels json", "vertex list",
    "clips", "manifest", "network spec", "data_info.json", "actor_info.json", "weights", "checkpoint", "model.json", "network_info.json",
    "model_config.json", "bs_skin_config.json", "bs_skin.npz", "model_data.npz", "implicit_emo_db.npz", "trt_info.json", "onnx", "solved npz", "solved json",
    "diffusion model.json", "diffusion network_info.json", "diffusion onnx",
)  # fmt: skip
Seeds = Callable[[Path], list[bytes]]


@dataclass(frozen=True)
class Target:
    """A kind of file: its name in the folder, good ones made by code, its reader, the files that stand beside it.

    `kind` is how it is changed: "bytes", "text", "json" or "zip".
    """

    file: str
    seeds: Seeds
    read: Callable[[Path], object]
    kind: str = "bytes"
    beside: Callable[[Path], dict[str, bytes]] = lambda folder: {}


def targets() -> dict[str, Target]:
    """All of them, by name. What they need is imported in the child alone."""
    return {name: {**_motions(), **_tables(), **_meshes(), **_runs(), **_models()}[name] for name in KINDS}


def _motions() -> dict[str, Target]:
    """Caches, arrays, bodies and sounds."""
    from audio2face.dataset.vertex_files import read_vertices
    from audio2face.formats import animation_header, read_animation
    from audio2face.formats.bvh import read_bvh
    from audio2face.formats.curve_table import read_missing
    from audio2face.formats.keyframes import read_keyframes
    from audio2face.formats.npy import read_npy, read_npz
    from audio2face.formats.phoneme_times import read_phoneme_times
    from audio2face.formats.smplx import read_smplx
    from audio2face.formats.sound import read_sound, sound_info
    from audio2face.importing.sounds import read_take_sound
    from fakes import fuzz_seeds as seeds

    wavs = ((16000, 1, "PCM_16"), (48000, 2, "FLOAT"), (8000, 1, "ULAW"), (44100, 1, "PCM_24"))
    flacs = ((16000, 1, "PCM_16"), (48000, 2, "PCM_24"))

    def cache(path: Path) -> None:
        animation_header(path)
        read_animation(path).block()

    def sound(path: Path) -> None:
        sound_info(path)
        read_sound(path)

    return {
        "maya xml": Target("a.xml", lambda f: [seeds.caches(f, False)[0], seeds.own_cache(f)[0]], cache, "text",
                           lambda f: {"a.mc": seeds.caches(f, False)[1]}),
        "maya mc": Target("a.mc", lambda f: [seeds.caches(f, False)[1]], lambda p: cache(p.with_suffix(".xml")),
                          beside=lambda f: {"a.xml": seeds.caches(f, False)[0]}),
        "maya mcx": Target("a.mcx", lambda f: [seeds.caches(f, True)[1]], lambda p: cache(p.with_suffix(".xml")),
                           beside=lambda f: {"a.xml": seeds.caches(f, True)[0]}),
        "pc2": Target("a.pc2", lambda f: [seeds.pc2(f)], cache),
        "npy": Target("a.npy", seeds.npys, read_npy),
        "npz": Target("a.npz", lambda f: [seeds.arrays(f), seeds.smplx(f)], read_npz, "zip"),
        "missing npy": Target("a.npy", seeds.missing, lambda p: read_missing(p, 9)),
        "smplx": Target("a.npz", lambda f: [seeds.smplx(f)], read_smplx, "zip"),
        "keyframes": Target("a.npz", lambda f: [seeds.keyframes(f)], lambda p: read_keyframes(p).at_rate(24.0), "zip"),
        "wav": Target("a.wav", lambda f: seeds.sounds(f, ".wav", wavs), lambda p: (sound(p), read_take_sound(p))),
        "flac": Target("a.flac", lambda f: seeds.sounds(f, ".flac", flacs), sound),
        "other sound": Target("a.ogg", seeds.other_sounds, sound),
        "film": Target("a.mp4", seeds.films, read_take_sound),
        "bvh": Target("a.bvh", lambda f: [seeds.bvh(f)], read_bvh, "text"),
        "textgrid": Target("a.TextGrid", lambda f: [seeds.TEXTGRID], read_phoneme_times, "text"),
        "phonemes json": Target("a.json", lambda f: [b'[["m", 0.0, 0.5], ["a", 0.5, 1]]'], read_phoneme_times, "json"),
        "vertex list": Target("a.json", lambda f: [b"[1, 2, 5]", b"[0, 1, 1, 0, 0, 0]"],
                              lambda p: read_vertices(p, str(p), 6), "json"),
    }  # fmt: skip


def _tables() -> dict[str, Target]:
    """Curves, as they are imported, viewed and edited."""
    from audio2face.face.curves import skeleton_group
    from audio2face.formats.animation_json import read_animation_json
    from audio2face.formats.arkit_csv import read_arkit_csv
    from audio2face.formats.curve_table import read_curve_table
    from audio2face.importing.recordings import TakeOptions, read_recording
    from audio2face.inference.edit.files import read_edit_file
    from audio2face.inference.edit.skin import Skin
    from audio2face.viewer.curve_files import curve_files_track
    from fakes import fuzz_seeds as seeds

    csv = b"frame,jawOpen,mouthClose,HeadYaw\n0,0.1,0,0\n1,0.5,0.25,1e-3\n2,,1,0\n"
    phone = b"jawOpen-10|mouthClose-20|=head#1,2,3,0,0,0|\njawOpen-11|mouthClose-21|=head#1,2,3,0,0,0|\n"
    groups = {"arkit": seeds.curve_group(), "body": skeleton_group("body", seeds.skeleton())}
    skin = Skin(seeds.mesh().rest, 1.0)

    def edited(path: Path) -> object:
        return read_edit_file(path, groups, skin, 30.0)

    def viewed(path: Path) -> object:
        return curve_files_track([path], 30.0)

    def recording(path: Path) -> object:
        return read_recording(path, TakeOptions(inputs=(path,), csv_fps=30))

    return {
        "curve csv": Target("a.csv", lambda f: [csv, seeds.live_link(f)], read_curve_table, "text"),
        "curve json": Target("a.json", lambda f: [json.dumps(seeds.FACE_JSON).encode(), seeds.animation_json(f)],
                             read_curve_table, "json"),
        "curve txt": Target("a.txt", lambda f: [phone], read_curve_table, "text"),
        "curve npz": Target("a.npz", lambda f: [seeds.curve_arrays(f)], read_curve_table, "zip"),
        "recording": Target("a.csv", lambda f: [seeds.live_link(f), seeds.long_table(f)], recording, "text"),
        "live link": Target("a.csv", lambda f: [seeds.live_link(f)], read_arkit_csv, "text"),
        "viewed csv": Target("a.csv", lambda f: [csv, seeds.live_link(f)], viewed, "text"),
        "viewed bvh": Target("a.bvh", lambda f: [seeds.bvh(f)], viewed, "text"),
        "edited csv": Target("a.csv", lambda f: [csv], edited, "text"),
        "edited npz": Target("a.npz", lambda f: [seeds.curve_arrays(f)], edited, "zip"),
        "edited bvh": Target("a.bvh", lambda f: [seeds.bvh(f)], edited, "text"),
        "edited glb": Target("a.glb", lambda f: [seeds.gltf(f, ".glb")], edited),
        "animation json": Target("a.json", lambda f: [seeds.animation_json(f)], read_animation_json, "json"),
    }  # fmt: skip


def _meshes() -> dict[str, Target]:
    """Meshes, rigs and scenes."""
    from audio2face.formats.body_mesh import read_body_mesh
    from audio2face.formats.gltf import read_gltf
    from audio2face.formats.gltf_keys import read_gltf_keys
    from audio2face.formats.gltf_rig import read_gltf_rig
    from audio2face.formats.obj import read_obj, read_obj_triangles
    from audio2face.formats.ply import read_ply
    from audio2face.formats.rig import read_rig_file
    from audio2face.formats.usd import read_usd_rig, read_usd_triangles
    from audio2face.formats.usd_keys import read_usd_keys
    from audio2face.importing import flame
    from audio2face.importing.flame_clips import read_template
    from fakes import fuzz_seeds as seeds

    def clip(path: Path) -> object:
        return flame.flame_motion(flame.read_parameters(path), str(path))

    def usd(path: Path) -> None:
        read_usd_rig(path)
        read_usd_keys(path)
        with suppress(ValueError):  # more than one mesh
            read_usd_triangles(path)

    plys = ("ascii", "binary_little_endian", "binary_big_endian")
    return {
        "body npz": Target("a.npz", lambda f: [seeds.body(f)], read_body_mesh, "zip"),
        "body glb": Target("a.glb", lambda f: [seeds.skinned(f)], read_body_mesh),
        "rig npz": Target("a.npz", lambda f: [seeds.rig(f)], read_rig_file, "zip"),
        "flame": Target("a.npz", lambda f: [seeds.flame(f)], flame.read_flame, "zip"),
        "flame clip": Target("a.npz", lambda f: [seeds.flame_clip(f)], clip, "zip"),
        "template npz": Target("a.npz", lambda f: [seeds.template(f)], lambda p: read_template(p, "ada"), "zip"),
        "ply": Target("a.ply", lambda f: [seeds.ply(kind) for kind in plys], read_ply),
        "obj": Target("a.obj", lambda f: [seeds.OBJ], lambda p: (read_obj(p), read_obj_triangles(p)), "text"),
        "gltf": Target("a.gltf", lambda f: [seeds.gltf(f, ".gltf")], lambda p: (read_gltf_rig(p), read_gltf_keys(p)), "json"),
        "glb": Target("a.glb", lambda f: [seeds.gltf(f, ".glb")],
                      lambda p: (read_gltf_rig(p), read_gltf_keys(p), read_gltf(p))),
        "usda": Target("a.usda", lambda f: [seeds.USDA], usd, "text"),
        "usdc": Target("a.usdc", lambda f: [seeds.usdc(f)], usd),
    }  # fmt: skip


def _runs() -> dict[str, Target]:
    """Copied runs."""
    from audio2face.face.channels_file import read_curve_channels
    from audio2face.face.topology import read_topology
    from audio2face.models.common.weights import read_weights
    from audio2face.runs.checkpoints import load_checkpoint
    from audio2face.runs.emotion_db import read_emotion_db
    from audio2face.runs.manifest import read_manifest
    from audio2face.runs.preproc_run import load_preproc_run, read_clips_template
    from audio2face.runs.train_run import load_train_run
    from fakes import fuzz_seeds as seeds

    def actor(path: Path) -> None:
        run = load_train_run(path.parents[2])
        for name in run.spec.actors:
            run.actor(name)

    return {
        "topology": Target("a.npz", lambda f: [seeds.topology(f)], lambda p: read_topology(p, 4, 0), "zip"),
        "emotions npz": Target("a.npz", lambda f: [seeds.emotions(f)], read_emotion_db, "zip"),
        "channels json": Target("channels.json", lambda f: [seeds.channels(f)], lambda p: read_curve_channels(p.parent), "json"),
        "clips": Target("clips_template.py", lambda f: [seeds.CLIPS], read_clips_template, "text"),
        "manifest": Target("manifest.json", lambda f: [seeds.manifest(f)], lambda p: read_manifest(p.parent), "json"),
        "network spec": Target("network_info_full.json", lambda f: [seeds.network_spec()],
                               lambda p: load_train_run(p.parent), "json"),
        "data_info.json": Target("actors/ada/data_info.json", seeds.data_info, actor, "json", seeds.beside_data_info),
        "actor_info.json": Target("configs/actor_info.json", lambda f: [b'{"actor_name": "ada"}'],
                                  lambda p: load_preproc_run(p.parents[1]), "json", seeds.beside_actor_info),
        "weights": Target("weights.pth", lambda f: [seeds.weights(f)], read_weights, "zip"),
        "checkpoint": Target("checkpoints/step_00000002.pt", lambda f: [seeds.checkpoint(f)],
                             lambda p: load_checkpoint(p.parent.parent), "zip"),
    }  # fmt: skip


def _models() -> dict[str, Target]:
    """Deployed models."""
    from audio2face.inference import load_model
    from audio2face.postprocess.rig import read_rig
    from fakes import fuzz_seeds as seeds

    def file(name: str, kind: str, make: Callable[[Path], Path] = seeds.model) -> Target:
        def beside(folder: Path) -> dict[str, bytes]:
            return {path.name: path.read_bytes() for path in make(folder).iterdir() if path.name != name}

        return Target(
            name,
            lambda folder: [(make(folder) / name).read_bytes()],
            lambda path: load_model(path.parent, threads=1),
            kind,
            beside,
        )

    def solved(name: str, kind: str) -> Target:
        """A data set's blendshapes, which nothing checks before."""

        def read(path: Path) -> object:
            return read_rig(path.with_name("bs_skin_config.json"), path.with_name("bs_skin.npz"))

        return replace(file(name, kind), read=read)

    texts = ("model.json", "network_info.json", "model_config.json", "bs_skin_config.json", "trt_info.json")
    arrays = ("bs_skin.npz", "model_data.npz", "implicit_emo_db.npz")
    return {
        **{name: file(name, "json") for name in texts},
        **{name: file(name, "zip") for name in arrays},
        "solved npz": solved("bs_skin.npz", "zip"),
        "solved json": solved("bs_skin_config.json", "json"),
        "onnx": file("network.onnx", "bytes"),
        "diffusion model.json": file("model.json", "json", seeds.diffusion_model),
        "diffusion network_info.json": file("network_info.json", "json", seeds.diffusion_model),
        "diffusion onnx": file("network.onnx", "bytes", seeds.diffusion_model),
    }
