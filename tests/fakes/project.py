"""A whole project with a small regression network that learns in seconds, for tests of the commands."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from fakes.dataset import make_dataset
from runners import cli

SMALL: dict[str, Any] = {
    "NUM_EPOCHS": 2,
    "AUGMENT": {},
    "TIMESHIFT_GRID": 1,
    "NETWORK_HYPER_PARAMS": {"use_w2v_features": False, "use_autocorr_features": True},
    "PHONEME_FORCING_LANGS": [],
    "LOSS_PHONEME_ALPHA": None,
    "LOSS_PHONEME_MOTION_ALPHA": None,
    "VALIDATION_CLIPS": ["a3_joy"],
}


def write_project(root: Path, frames: int = 40, **train: Any) -> None:
    """Data set and config of the project `tiny`, actor `tiny`, below `root`; clips are `frames` long."""
    data = make_dataset(root / "datasets/tiny")
    clips = [(*row[:2], (0, frames - 1), *row[3:]) for row in data.train["CLIPS"]]
    inference = {"AUDIO_PATH": str(data.sound()), "ACTOR_NAME": "tiny"}
    sections = {
        "dataset": data.dataset,
        "preproc": data.preproc,
        "train": {**data.train, "CLIPS": clips, **SMALL, **train},
        "inference": inference,
    }
    folder = root / "configs/tiny"
    folder.mkdir(parents=True)
    for kind, values in sections.items():
        (folder / f"config_{kind}.py").write_text("".join(f"{key} = {value!r}\n" for key, value in values.items()))


def run_command(command: str, argv: list[str]) -> int:
    """A command as it is started from a terminal, in this process; returns its exit status."""
    handlers = {number: signal.getsignal(number) for number in cli.Stop.signals()}
    try:
        return cli.main(command, argv)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def write_key(root: Path, kind: str, key: str, value: Any) -> None:
    """Set one more key of a section of the project's config."""
    with (root / f"configs/tiny/config_{kind}.py").open("a") as file:
        file.write(f"{key} = {value!r}\n")
