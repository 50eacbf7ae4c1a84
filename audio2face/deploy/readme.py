"""What the README.md of every deployed model has: how to build the engine and load it, and values of the host's duties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audio2face.deploy.signature import CURVES_NETWORK
from audio2face.face.codec import part_of
from audio2face.face.curves import CurveGroup
from audio2face.runs.train_run import ActorData, NetworkSpec

BUILD_AND_LOAD = """\
```bash
trtexec --onnx=network.onnx --saveEngine=network.trt --device=0 \\
{arguments}
```

These are the arguments of `trt_info.json` with {defaults}.
To animate more tracks at once than MAX_BATCH_SIZE, raise the number in `--maxShapes`.

## 2. Load it in Maya-ACE

1. Install Maya-ACE 2.0 or newer.
2. Copy this folder, engine included, to `models/audio2face-models/` beside the installed plugin module
   (by default `<home>/Documents/maya/modules/mace/models/audio2face-models/`).
3. Restart Maya, select the A2FAnimationPlayer node and choose the model in its Models section.
"""


def common_values(spec: NetworkSpec, trt: dict[str, Any]) -> dict[str, str]:
    """Values of BUILD_AND_LOAD, from a trt_info.json, and of the emotions a host gives. Raises ValueError for a damaged one."""
    try:
        arguments = _trtexec_arguments(trt)
        defaults = " and ".join(f"{name} = {value}" for name, value in trt["defaults"].items())
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"trt_info.json: not what was exported ({error!r})") from error
    return {
        "arguments": arguments,
        "defaults": defaults,
        "emotion_weights": _emotion_weights(spec),
        "emotions": ", ".join(spec.emotion_inputs),
        "zero_note": _zero_note(spec),
    }


def _emotion_weights(spec: NetworkSpec) -> str:
    """How many weights an emotion has, in words."""
    count = len(spec.emotion_inputs)
    return f"{count} weights" if count > 1 else "one weight"


def triangle_row(actor: ActorData) -> str:
    """The row of a table of files for the faces of an actor's meshes, when they are known."""
    if not actor.topology:
        return ""
    return f"| `triangles_{actor.actor}.npz` | faces of the meshes, for `audio2face.load_model`; the runtime does not read it |\n"


def curve_rows(spec: NetworkSpec) -> str:
    """The rows of a table of files for the groups of curves that a model gives; none without any."""
    if not spec.groups:
        return ""
    channels = "channels.json" if spec.network_type == "regression" else "channels_<actor>.json"
    return (
        f"| `{CURVES_NETWORK}` | the network with its curves, for `audio2face.load_model`; the runtime does not read it |\n"
        f"| `{channels}` | what the curves are: names, kinds, units |\n"
    )


def curve_lead(spec: NetworkSpec) -> str:
    """What must be known first of a model that gives curves and no face mesh."""
    if not spec.groups or "skin" in {part_of(channel) for channel in spec.channels}:
        return ""
    return (
        "\n**This model gives curves and no face mesh**, so that NVIDIA's runtime cannot show it (what follows about engines and\n"
        "hosts does not concern it). `audio2face.load_model`, the server and the viewer can.\n"
    )


def curve_note(spec: NetworkSpec, actors: Sequence[ActorData]) -> str:
    """What curves a model gives, and how to get them; nothing without any."""
    if not spec.groups:
        return ""
    several = len(actors) > 1
    rows = [
        f"| {f'{actor.actor} | ' if several else ''}`{name}` | {_of_group(group)} |\n"
        for actor in actors
        for name, group in spec.output_codec(actor).groups.items()
        if name not in spec.at_rest(actor.actor)
    ]
    head = f"| {'actor | ' if several else ''}group | values |\n|{'---|' * (2 + several)}\n"
    return (
        "\n## Curves\n\nThe runtime shows the face alone. These named values of every frame come from Python, as\n"
        '`audio2face.load_model(folder).animate("speech.wav").curves[group]`, and from `run_inference.py` of the training run:\n\n'
        + head
        + "".join(rows)
    )


def _of_group(group: CurveGroup) -> str:
    """ "52 weights (eyeBlinkLeft, eyeLookDownLeft, …)" """
    if group.skeleton is not None:
        return f"a skeleton of {len(group.skeleton.joints)} joints, {len(group.names)} values"
    parts = []
    for block in group.blocks:
        names = ", ".join(block.names[:3]) + (", …" if len(block.names) > 3 else "")
        how = " ".join(filter(None, (block.form, block.unit)))
        count = "a rotation" if block.kind == "rotation" else f"{len(block.names)} {_PLURALS[block.kind]}"
        parts.append(f"{count} ({names}{f'; {how}' if how else ''})")
    return "; ".join(parts)


_PLURALS = {"weights": "weights", "plain": "values", "angle": "angles", "translation": "coordinates"}


def _zero_note(spec: NetworkSpec) -> str:
    """What all zeros mean as an emotion."""
    if not spec.emotion_names:
        return "The network was trained without emotions: this one does nothing, the runtime wants one.\n  "
    return f"All zeros mean {spec.zero_emotion}. " if spec.zero_emotion is not None else ""


def _trtexec_arguments(trt: dict[str, Any]) -> str:
    """The arguments of a trt_info.json with its default batch sizes filled in, one to a line, as shell text."""
    lists = trt["trt_build_param"].values()
    lines = [argument.format(**trt["defaults"]) for arguments in lists for argument in arguments]
    return " \\\n".join(f"    {line}" for line in lines)
