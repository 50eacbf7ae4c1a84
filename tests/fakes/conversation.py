"""A made-up conversation: stereo files of two voices, the actor's in channel 0; its jaw follows its own voice, its nod the other."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audio2face.commands import preproc, train
from audio2face.formats.curve_table import curve_table, write_curve_table
from fakes.curves import FPS, HEAD, RATE, SHOTS, WEIGHTS, loudness, speech
from fakes.project import DIFFUSION, use_project, write_configs

GUIDE = {
    "NETWORK_TYPE": "guide",
    "TARGET_CHANNELS": ["head"],
    "GUIDE_FPS": 5.0,
    "NETWORK_HYPER_PARAMS": {"codebook_size": 8, "depth": 2, "code_dim": 4, "codec_width": 16, "width": 16},
    "NUM_EPOCHS": 3,
    "GUIDE_CODEC_EPOCHS": 2,
    "LR_WARMUP_EPOCHS": 1,
}
SMALL = {"width": 32, "num_layers": 1, "num_heads": 2, "dropout": 0.0}


def voices(number: int) -> tuple[np.ndarray, np.ndarray]:
    """The two voices (N,) of a shot, who take turns of half a second."""
    own, partner = speech(number), speech(100 + number)
    turn = (np.arange(len(own)) // (RATE // 2) + number) % 2
    return own * turn, partner * (1 - turn)


def write_conversation(home: Path) -> dict[str, Any]:
    """Sounds and curves of an actor; returns values of config_dataset."""
    for folder in ("audio", "face"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    for number, shot in enumerate(SHOTS):
        own, partner = voices(number)
        soundfile.write(home / "audio" / f"{shot}.wav", np.stack([own, partner], axis=1), RATE)
        jaw, nod, still = loudness(own), loudness(partner), np.zeros(len(loudness(own)))
        columns = [jaw, still, still, still, still, 0.3 * nod, still]
        table = curve_table((*WEIGHTS, *HEAD), np.stack(columns, axis=1), float(FPS))
        write_curve_table(home / "face" / f"{shot}.npz", table)
    name = home.name
    return {
        "ACTOR_NAMES": [name],
        "CACHE_FPS": {name: float(FPS)},
        "SHOT_EMOTION_NAMES": ["neutral", "joy"],
        "AUDIO_ROOT": {name: str(home / "audio")},
        "AUDIO_CHANNELS": {name: {"self": 0, "partner": 1}},
        "CURVES_ROOT": {name: {"arkit": str(home / "face"), "head": str(home / "face")}},
    }


def write_answers(root: Path) -> dict[str, Any]:
    """The curves of `bob`, who is the other voice in the files of `ann` (`write_conversation`); returns values of config_dataset
    for both."""
    values, home = write_conversation(root / "ann"), root / "bob/face"
    home.mkdir(parents=True)
    for number, shot in enumerate(SHOTS):
        partner, own = voices(number)
        still = np.zeros(len(loudness(own)))
        columns = [loudness(own), still, still, still, still, 0.3 * loudness(partner), still]
        table = curve_table((*WEIGHTS, *HEAD), np.stack(columns, axis=1), float(FPS))
        write_curve_table(home / f"{shot}.npz", table)
    return values | {
        "ACTOR_NAMES": ["ann", "bob"],
        "CACHE_FPS": dict.fromkeys(("ann", "bob"), float(FPS)),
        "AUDIO_ROOT": dict.fromkeys(("ann", "bob"), values["AUDIO_ROOT"]["ann"]),
        "AUDIO_CHANNELS": {"ann": {"self": 0, "partner": 1}, "bob": {"self": 1, "partner": 0}},
        "CURVES_ROOT": values["CURVES_ROOT"] | {"bob": {"arkit": str(home), "head": str(home)}},
    }


def conversation_project(root: Path, dataset: dict[str, Any] | None = None, **train: Any) -> None:
    """A project `tiny` that trains a small transformer on it; `dataset` and `train` are further keys."""
    values = write_conversation(root / "datasets/ann")
    keys = {**DIFFUSION, "NETWORK_NAME": "diffusion_transformer", "NETWORK_HYPER_PARAMS": SMALL}
    keys |= {"TARGET_CHANNELS": ["arkit", "head"], "VALIDATION_CLIPS": ["three_joy"], "PREVIEW_PERIOD": None, **train}
    sound = {"AUDIO_PATH": str(root / "datasets/ann/audio/three_joy.wav"), "OUTPUT_FORMATS": ["npy"]}
    write_configs(
        root,
        dataset={**values, "SKIP_DATA_CHECKS": ["*"], **(dataset or {})},
        preproc={},
        train=keys,
        inference={**sound, "NUM_DIFFUSION_STEPS": 2},
    )


def guide_project(root: Path, **inference: Any) -> None:
    """A project `guide` of the same data as `tiny`, which trains a small guide; `inference` are keys of its config_inference."""
    folder = root / "configs/guide"
    shutil.copytree(root / "configs/tiny", folder)
    for kind, keys in (("train", GUIDE), ("inference", inference)):
        (folder / f"config_{kind}.py").write_text("".join(f"{key} = {value!r}\n" for key, value in keys.items()))


def talking_runs(root: Path, patch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Names of a run that hears a partner, trained for a moment, and of a guide for it. The environment is the project's."""
    use_project(root, patch)
    conversation_project(root, NUM_EPOCHS=8, LEARNING_RATE=1e-2, LR_MIN=1e-3)
    guide_project(root, TOP_P=0.9)
    preproc.run("tiny", "ann")
    return train.run("tiny").run, train.run("guide").run


def run_of_two(root: Path, patch: pytest.MonkeyPatch) -> str:
    """The name of a run of `ann` and `bob`, who talk to each other in every shot, trained for a moment."""
    use_project(root, patch)
    keys = write_answers(root / "datasets")
    conversation_project(root, keys, NUM_EPOCHS=2)
    for actor in keys["ACTOR_NAMES"]:
        preproc.run("tiny", actor)
    return train.run("tiny").run
