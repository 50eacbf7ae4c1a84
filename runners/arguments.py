"""The commands and their arguments, as the launcher and the runners both read them.

Standard library and Python 3.8 only: the launcher must work on a machine that has nothing else.
An option is listed here only when the command behind it implements it.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

NAME = re.compile(r"\w([\w.-]*\w)?", re.ASCII)


@dataclass(frozen=True)
class Option:
    """One `--flag` of a command. `settings` go to argparse; `is_path` values name files of the user's machine."""

    flag: str
    settings: dict[str, Any]
    is_path: bool = False

    @property
    def dest(self) -> str:
        return self.flag.lstrip("-").replace("-", "_")


@dataclass(frozen=True)
class Command:
    """A command: its name, arguments and help. `names` maps an argument's attribute to (placeholder, help).

    `many` is the last of them when it may be given any number of times: its attribute is a list.
    """

    kind: str
    summary: str
    example: str
    names: dict[str, tuple[str, str]]
    options: tuple[Option, ...] = field(default=())
    many: str | None = None


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


INFERENCE_MODES = (
    "offline",
    "streaming",
    "streaming_stateless",
    "streaming_stateless_output_delta",
    "offline_onnx",
    "offline_trt",
    "streaming_stateless_onnx",
    "streaming_stateless_trt",
    "streaming_stateless_output_delta_onnx",
    "streaming_stateless_output_delta_trt",
)


def _mode(text: str) -> str:
    if text not in INFERENCE_MODES:
        near = difflib.get_close_matches(text, INFERENCE_MODES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(INFERENCE_MODES)}"
        raise argparse.ArgumentTypeError(f"{text!r} is unknown: {hint}")
    return text


def _shots(text: str) -> str:
    if text.startswith("-") or not all(text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} are not shot names: write them as a1_joy,b2_* or with spaces")
    return text


def _moved(text: str) -> tuple[int, int]:
    begin, _, end = text.partition(":")
    try:
        return int(begin), int(end)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: write FROM:TO, such as 100:140") from error


CONFIG = ("CONFIG_NAME", "a folder of configs/ (or of A2F_CONFIGS_ROOT)")
RUN = ("TRAINING_RUN_NAME_FULL", "a training run as run_train.py printed it, or `latest`")

COMMANDS = {
    "preproc": Command(
        kind="Preproc",
        summary="Turn an actor's captured data into what training reads (workspace/output_preproc).",
        example="python run_preproc.py demo-regression demo",
        names={
            "config_name": CONFIG,
            "actor_name": ("ACTOR_NAME", "an actor of the config's ACTOR_NAMES; several, or none for all of them"),
        },
        many="actor_name",
        options=(
            Option(
                "--no-cache",
                {
                    "action": "store_true",
                    "help": "compute everything, even what earlier runs computed from the same data, settings and code",
                },
            ),
        ),
    ),
    "train": Command(
        kind="Training",
        summary="Train a network and export it (workspace/output_train). Ctrl-C stops early and keeps the result.",
        example="python run_train.py demo-regression\n         python run_train.py demo-regression --resume",
        names={"config_name": CONFIG},
        options=(
            Option(
                "--resume",
                {
                    "nargs": "?",
                    "const": "latest",
                    "metavar": "RUN",
                    "help": "continue an unfinished training run (default: the newest); write it after CONFIG_NAME",
                },
            ),
            Option("--export", {"metavar": "RUN", "help": "do not train; export the weights of a training run again"}),
        ),
    ),
    "deploy": Command(
        kind="Deploy",
        summary="Pack a training run into the folder that the runtime loads (workspace/output_deploy).",
        example="python run_deploy.py demo-regression latest",
        names={"config_name": CONFIG, "training_run_name_full": RUN},
    ),
    "inference": Command(
        kind="Inference",
        summary="Animate the face from a sound file (workspace/output_inference).",
        example="python run_inference.py demo-regression latest --audio hello.wav --emotion joy\n"
        "         python run_inference.py dialogue latest --audio me.wav --partner you.wav --both",
        names={"config_name": CONFIG, "training_run_name_full": RUN},
        options=(
            Option(
                "--audio",
                {"nargs": "+", "metavar": "PATH", "help": "sound files or folders, instead of the config's AUDIO_PATH"},
                is_path=True,
            ),
            Option(
                "--partner",
                {
                    "nargs": "+",
                    "metavar": "PATH",
                    "help": "the sound of whom the actor talks to, one file for each of --audio, or a folder; needs a network "
                    "that was trained on conversations, which takes the two channels of a stereo file without it",
                },
                is_path=True,
            ),
            Option(
                "--keyframes",
                {
                    "nargs": 1,
                    "metavar": "FILE",
                    "help": "keyframes that the animation goes through (.npz), or a folder",
                },
                is_path=True,
            ),
            Option("--guide", {"metavar": "RUN", "help": "a training run that draws the keyframes (GUIDE_RUN)"}),
            Option("--swap", {"action": "store_true", "help": "exchange the two: animate the partner (SWAP_ROLES)"}),
            Option("--both", {"action": "store_true", "help": "animate both sides, with mp4 in one film (BOTH_SIDES)"}),
            Option("--partner-actor", {"metavar": "NAME", "help": "who plays the other side with --both"}),
            Option("--emotion", {"metavar": "NAME", "help": "an emotion of the run, instead of EMOTION_LABEL"}),
            Option("--actor", {"metavar": "NAME", "help": "an actor of the run, instead of ACTOR_NAME"}),
            Option(
                "--mode",
                {
                    "type": _mode,
                    "metavar": "MODE",
                    "help": "overrides INFERENCE_MODE: regression has offline, offline_onnx; diffusion "
                    f"{', '.join(m for m in INFERENCE_MODES if not m.startswith('offline_'))}",
                },
            ),
            Option("--takes", {"type": _count, "metavar": "N", "help": "so many takes, instead of NUM_SAMPLES"}),
            Option(
                "--edit",
                {
                    "nargs": 1,
                    "metavar": "FILE",
                    "help": "edit this animation (EDIT in the config): .xml, .pc2 or .npy of the skin, .csv, .npz or .bvh of "
                    "curves, glTF or USD of both; needs a diffusion_transformer",
                },
                is_path=True,
            ),
            Option(
                "--regenerate",
                {"nargs": "+", "metavar": "RANGE", "help": 'frames that are made anew: 90-250, 120, or "12.5s-14s"'},
            ),
            Option(
                "--keep",
                {"nargs": "+", "type": _shots, "metavar": "PART", "help": "parts that stay, such as brows,eyes"},
            ),
            Option(
                "--parts",
                {"nargs": "+", "type": _shots, "metavar": "PART", "help": "parts that may change, all others stay"},
            ),
            Option("--key", {"nargs": "+", "type": int, "metavar": "FRAME", "help": "frames whose poses stay"}),
            Option(
                "--move-key",
                {"nargs": "+", "type": _moved, "metavar": "FROM:TO", "help": "the pose of one frame placed at another"},
            ),
        ),
    ),
    "evaluate": Command(
        kind="Evaluation",
        summary="Measure a training run on shots that it was not trained on (workspace/output_evaluate).",
        example="python run_evaluate.py demo-regression latest --videos 3",
        names={"config_name": CONFIG, "training_run_name_full": RUN},
        options=(
            Option("--compare", {"nargs": "+", "metavar": "RUN", "help": "other training runs, in the same tables"}),
            Option("--emotion", {"metavar": "NAME", "help": "animate every shot in this emotion instead of its own"}),
            Option(
                "--shots",
                {
                    "nargs": "+",
                    "type": _shots,
                    "metavar": "SHOT",
                    "help": "measure on these shots (names or patterns such as 'eg*', separated by commas or spaces), "
                    "even when they were trained on, which the report then notes",
                },
            ),
            Option(
                "--data",
                {
                    "nargs": 1,
                    "metavar": "FOLDER",
                    "help": "measure on the shots of this folder: audio/<shot>.wav and cache/skin/<shot>/; for several "
                    "actors, in a subfolder for each",
                },
                is_path=True,
            ),
            Option(
                "--lips",
                {"nargs": 1, "metavar": "FILE", "help": "JSON list of lip vertices, instead of those of the lip lists"},
                is_path=True,
            ),
            Option(
                "--upper-face",
                {
                    "nargs": 1,
                    "metavar": "FILE",
                    "help": "JSON list of upper-face vertices, instead of those above the lids",
                },
                is_path=True,
            ),
            Option(
                "--videos",
                {
                    "type": _count,
                    "metavar": "N",
                    "help": "make videos of the N worst shots (default 2): truth, prediction and error",
                },
            ),
        ),
    ),
}


def _name(text: str) -> str:
    if not NAME.fullmatch(text) or ".." in text:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a name: use letters, digits, '_', '-' and '.', starting and ending with a letter or digit"
        )
    return text


def parser(command: str) -> argparse.ArgumentParser:
    """The argument parser of a command; names with anything but plain characters are refused (exit status 2)."""
    about = COMMANDS[command]
    result = argparse.ArgumentParser(
        prog=f"run_{command}.py",
        description=about.summary,
        epilog=f"example: {about.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for dest, (placeholder, text) in about.names.items():
        repeated: dict[str, Any] = {"nargs": "*", "default": []} if dest == about.many else {}
        result.add_argument(dest, metavar=placeholder, type=_name, help=text, **repeated)
    for option in about.options:
        kind = {} if "action" in option.settings else {"type": str if option.is_path else _name}
        result.add_argument(option.flag, **{**kind, **option.settings})
    where = result.add_mutually_exclusive_group()
    where.add_argument("--local", action="store_true", help="run in this Python, without Docker (A2F_RUNTIME=local)")
    where.add_argument("--docker", action="store_true", help="run in the container (A2F_RUNTIME=docker, the default)")
    return result


def parse(command: str, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments of a command line; names may come before and after options."""
    reader = parser(command)
    return reader.parse_intermixed_args(argv) if COMMANDS[command].many else reader.parse_args(argv)


def runner_arguments(command: str, args: argparse.Namespace) -> list[str]:
    """The command line of the runner that does what `args` asks: every argument that was given, in a fixed order."""
    about = COMMANDS[command]
    result = []
    for dest in about.names:
        value = getattr(args, dest)
        result += value if isinstance(value, list) else [value]
    for option in about.options:
        value = getattr(args, option.dest, None)
        if value is True:
            result.append(option.flag)
        elif value is not None and value is not False:
            result += [option.flag, *(map(str, value) if isinstance(value, list) else [str(value)])]
    return result + where_flag(args)


def where_flag(args: Any) -> list[str]:
    """`--local` or `--docker` when the user typed it, for the next command that is printed."""
    return [flag for flag in ("--local", "--docker") if getattr(args, flag[2:], False)]


def next_command(command: str, args: Any, run_name: str, exported: bool = True) -> str:
    """What to type after `command` has made `run_name`, of a network that is `exported` or not."""
    config = args.config_name
    words: Sequence[str] = {
        "preproc": ["run_train.py", config],
        "train": ["run_deploy.py" if exported else "run_inference.py", config, run_name],
        "deploy": ["run_inference.py", config, run_name],
        "evaluate": ["run_deploy.py", config, getattr(args, "training_run_name_full", run_name)],
        "inference": ["run_inference.py", config, getattr(args, "training_run_name_full", run_name), "--audio", "PATH"],
    }[command]
    return " ".join(["python", *words, *where_flag(args)])
