"""A project of tiny actors for the tests of diffusion: a wobbling blob that opens where its sound is loud."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from audio2face.formats.sound import write_sound

V, VT = 40, 12
FPS, SECONDS = 30, 2
SMALL = {
    "feature_dim": 32,
    "gru_feature_dim": 32,
    "emo_embedding_dim": 8,
    "actor_embedding_dim": 8,
    "audio_encoder": "melspec",
}
ACTOR_KEYS = {
    "AUDIO_ROOT": "audio",
    "SKIN_CACHE_ROOT": "cache/skin",
    "SKIN_NEUTRAL_FPATH": "geom/skin/neutral_pose.npy",
    "SKIN_LIP_DIST_VERTEX_LIST_FPATH": "geom/skin/lip_dist_vertex_list.json",
    "SKIN_EYE_DIST_VERTEX_LIST_FPATH": "geom/skin/eye_dist_vertex_list.json",
}
TONGUE_KEYS = {
    "TONGUE_CACHE_ROOT": "cache/tongue",
    "TONGUE_NEUTRAL_FPATH": "geom/tongue/neutral_pose.npy",
    "TONGUE_RIGID_VERTEX_LIST_FPATH": "geom/tongue/rigid_vertex_list.json",
}


def write_actor(root: Path, actor: str, seed: int, shapes: int, tongue: bool = True) -> None:
    """Two shots, neutral and joy, of `shapes` independent motions, the first of which follows the loudness."""
    rng = np.random.default_rng(seed)
    home = root / actor
    neutral = rng.normal(size=(V, 3)).astype(np.float32) * 5
    motions = rng.normal(size=(shapes, V, 3)).astype(np.float32)
    tongue_neutral, curl = (rng.normal(size=(VT, 3)).astype(np.float32) for _ in range(2))
    for folder in ("audio", "geom/skin", "geom/tongue"):
        (home / folder).mkdir(parents=True)
    np.save(home / "geom/skin/neutral_pose.npy", neutral)
    np.save(home / "geom/tongue/neutral_pose.npy", tongue_neutral)
    lists = {
        "skin/lip_dist_vertex_list": {"upper": [0, 1], "lower": [2, 3]},
        "skin/eye_dist_vertex_list": {"upper": [4, 5], "lower": [6, 7]},
        "tongue/rigid_vertex_list": [0, 1, 2, 3],
    }
    for name, value in lists.items():
        (home / f"geom/{name}.json").write_text(json.dumps(value))
    for shot in ("one_neutral", "two_joy"):
        frames = FPS * SECONDS
        loud = np.abs(np.sin(np.arange(frames) / 5 + rng.uniform(0, 3)))
        envelope = np.interp(np.arange(16000 * SECONDS) / 16000 * FPS - 0.5, np.arange(frames), loud)
        tone = np.sin(2 * np.pi * 220 * np.arange(len(envelope)) / 16000)
        write_sound(home / "audio" / f"{shot}.wav", (0.5 * envelope * tone).astype(np.float32)[:, None], 16000)
        weights = rng.normal(size=(frames, shapes)).cumsum(axis=0) * 0.05
        weights[:, 0] = loud
        caches = {"skin": neutral + np.einsum("ts,svc->tvc", weights, motions)}
        if tongue:
            caches["tongue"] = tongue_neutral + loud[:, None, None] * 0.2 * curl
        for mesh, cache in caches.items():
            (home / "cache" / mesh / shot).mkdir(parents=True)
            np.save(home / "cache" / mesh / shot / f"{shot}.npy", cache.astype(np.float32))


def write_project(
    root: Path,
    network: str = "diffusion_rnn_pca",
    actors: tuple[str, ...] = ("ann",),
    hyper: dict | None = None,
    inference: str = "",
    **train,
) -> None:
    """Data set and config of the project `tiny` under `root`; actors have different numbers of shapes."""
    for i, actor in enumerate(actors):
        if not (root / "datasets" / actor).exists():
            write_actor(root / "datasets", actor, seed=i, shapes=3 + 2 * i, tongue=i != 1)
    keys = {key: {a: f"/datasets/{a}/{part}" for a in actors} for key, part in ACTOR_KEYS.items()}
    keys |= {
        key: {a: f"/datasets/{a}/{part}" for i, a in enumerate(actors) if i != 1} for key, part in TONGUE_KEYS.items()
    }
    keys |= {"ACTOR_NAMES": list(actors), "CACHE_FPS": dict.fromkeys(actors, 30.0)}
    keys |= {"SHOT_EMOTION_NAMES": ["neutral", "joy"], "SKIP_DATA_CHECKS": ["*"]}  # a blob looks like no face
    settings = {
        "NETWORK_TYPE": "diffusion",
        "NETWORK_NAME": network,
        "TARGET_FPS": 30.0,
        "STREAMING_CFG": {"30": {"left_truncate": 7, "right_truncate": 8}},  # loses frame 0 in the runtime
        "NETWORK_HYPER_PARAMS": SMALL | (hyper or {}),
        "NUM_EPOCHS": 1,
        "LR_WARMUP_EPOCHS": 0,
        "SUBSEGMENT_MIN_FRAME": 20,
    } | train
    folder = root / "configs" / "tiny"
    folder.mkdir(parents=True, exist_ok=True)
    preproc = {"DEFAULT_TONGUE_PCA_SHAPE": (2, VT, 3), "DEFAULT_EYE_SACCADE_ROT_SHAPE": (20, 2)}
    for name, values in (("dataset", keys), ("train", settings), ("preproc", preproc)):
        (folder / f"config_{name}.py").write_text("".join(f"{k} = {v!r}\n" for k, v in values.items()))
    (folder / "config_inference.py").write_text(
        f"AUDIO_PATH = '/datasets/{actors[0]}/audio/one_neutral.wav'\nACTOR_NAME = {actors[0]!r}\n"
        f"APPLY_POSTPROCESSING = False\n{inference}"
    )


def use_project(root: Path, monkeypatch) -> None:
    """Point the commands at `root`."""
    monkeypatch.setenv("A2F_DATASETS_ROOT", str(root / "datasets"))
    monkeypatch.setenv("A2F_WORKSPACE_ROOT", str(root / "workspace"))
    monkeypatch.setenv("A2F_CONFIGS_ROOT", str(root / "configs"))
    monkeypatch.setenv("A2F_DEVICE", "cpu")
