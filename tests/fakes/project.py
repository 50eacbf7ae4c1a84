"""A whole project `tiny` with a network that learns in seconds, for tests of the commands."""

from __future__ import annotations

import signal
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from audio2face.commands import preproc, train
from fakes.actor import ACTOR, Blob, actor, dataset_values
from runners import cli

REGRESSION: dict[str, Any] = {
    "NUM_EPOCHS": 2,
    "AUGMENT": {},
    "TIMESHIFT_GRID": 1,
    "NETWORK_HYPER_PARAMS": {"use_w2v_features": False, "use_autocorr_features": True},
    "PHONEME_FORCING_LANGS": [],
    "LOSS_PHONEME_ALPHA": None,
    "LOSS_PHONEME_MOTION_ALPHA": None,
    "VALIDATION_CLIPS": ["a3_joy"],
}
DIFFUSION: dict[str, Any] = {
    "NETWORK_TYPE": "diffusion",
    "NETWORK_NAME": "diffusion_rnn_pca",
    "TARGET_FPS": 30.0,
    "STREAMING_CFG": {"30": {"left_truncate": 7, "right_truncate": 8}},  # loses frame 0 in the runtime
    "NUM_EPOCHS": 1,
    "LR_WARMUP_EPOCHS": 0,
    "SUBSEGMENT_MIN_FRAME": 20,
}
SEQUENCE: dict[str, Any] = {
    **DIFFUSION,
    "NETWORK_NAME": "diffusion_transformer",
    "NETWORK_HYPER_PARAMS": {"width": 32, "num_layers": 2, "num_heads": 2},
}
NARROW = {
    "feature_dim": 32,
    "gru_feature_dim": 32,
    "emo_embedding_dim": 8,
    "actor_embedding_dim": 8,
    "audio_encoder": "melspec",
}


def regression_project(root: Path, frames: int = 40, **train: Any) -> None:
    """Regression of one face, the actor `tiny`, whose clips are `frames` long; `train` are further keys of config_train."""
    face = actor(root / "datasets" / ACTOR)
    clips = [(*row[:2], (0, frames - 1), *row[3:]) for row in face.train["CLIPS"]]
    write_configs(
        root,
        dataset=face.dataset,
        preproc=face.preproc,
        train={**face.train, "CLIPS": clips, **REGRESSION, **train},
        inference={"AUDIO_PATH": str(face.sound()), "ACTOR_NAME": ACTOR},
    )


def diffusion_project(root: Path, actors: tuple[str, ...] = ("ann",), hyper: dict | None = None, **train: Any) -> None:
    """Diffusion of blobs of 3, 5, … motions, the second of which has no tongue; the actors that are there are kept."""
    homes = [root / "datasets" / name for name in actors]
    for i, home in enumerate(homes):
        if not home.exists():
            actor(home, who=Blob(i, 3 + 2 * i), tongue=i != 1)
    dataset = dataset_values(homes, PurePosixPath("/datasets")) | {
        "SKIP_DATA_CHECKS": ["*"]
    }  # a blob looks like no face
    sound = f"/datasets/{actors[0]}/audio/one_neutral.wav"
    write_configs(
        root,
        dataset=dataset,
        preproc={"DEFAULT_TONGUE_PCA_SHAPE": (2, 12, 3), "DEFAULT_EYE_SACCADE_ROT_SHAPE": (20, 2)},
        train={**DIFFUSION, "NETWORK_HYPER_PARAMS": NARROW | (hyper or {}), **train},
        inference={"AUDIO_PATH": sound, "ACTOR_NAME": actors[0], "APPLY_POSTPROCESSING": False},
    )


def write_configs(root: Path, **sections: dict[str, Any]) -> None:
    folder = root / "configs/tiny"
    folder.mkdir(parents=True, exist_ok=True)
    for kind, values in sections.items():
        (folder / f"config_{kind}.py").write_text("".join(f"{key} = {value!r}\n" for key, value in values.items()))


def write_key(root: Path, kind: str, key: str, value: Any) -> None:
    """Set one more key of a section of the project's config."""
    with (root / f"configs/tiny/config_{kind}.py").open("a") as file:
        file.write(f"{key} = {value!r}\n")


def sequence_run(root: Path, patch: pytest.MonkeyPatch) -> str:
    """A diffusion_transformer of the blob `ann`, trained for a moment; returns the run's name. The environment is the project's."""
    diffusion_project(root, ("ann",))
    (root / "configs/tiny/config_train.py").write_text("".join(f"{k} = {v!r}\n" for k, v in SEQUENCE.items()))
    use_project(root, patch)
    preproc.run("tiny", "ann")
    return train.run("tiny").run


def use_project(root: Path, monkeypatch) -> None:
    """Point the commands at `root`."""
    for name in ("datasets", "workspace", "configs"):
        monkeypatch.setenv(f"A2F_{name.upper()}_ROOT", str(root / name))
    monkeypatch.delenv("A2F_IN_CONTAINER", raising=False)
    monkeypatch.setenv("A2F_DEVICE", "cpu")


def run_command(command: str, argv: list[str]) -> int:
    """A command as it is started from a terminal, in this process; returns its exit status."""
    handlers = {number: signal.getsignal(number) for number in cli.Stop.signals()}
    try:
        return cli.main(command, argv)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
