"""Options of the commands that send a face to other programs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audio2face.serving.engine import ServedModel
    from audio2face.serving.live.outputs import Sink


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """--live-link and --vmc, with what belongs to them."""
    add = parser.add_argument
    add("--live-link", metavar="HOST[:PORT]", nargs="+", default=[], help="Live Link Face over UDP (port 11111)")
    add("--subject", default="Audio2Face", help="name of the face in Live Link (default: %(default)s)")
    add("--eye-unit", choices=("radians", "half-turns"), default="radians", help="of the eyes in Live Link")
    add("--vmc", metavar="HOST[:PORT]", nargs="+", default=[], help="VMC protocol over OSC (port 39540)")
    add("--vmc-names", choices=("perfect_sync", "vrm"), default="perfect_sync", help="blendshapes of VMC")


def opened(arguments: argparse.Namespace, served: ServedModel) -> list[Sink]:
    """The outputs that are asked for. Raises UserError for an address or a package that is not there."""
    from audio2face.serving.live.outputs import open_sinks

    half_turns = arguments.eye_unit == "half-turns"
    return open_sinks(
        served, arguments.live_link, arguments.subject, half_turns, arguments.vmc, vmc_names=arguments.vmc_names
    )
