"""What the README.md of every deployed model has: how to build the engine and load it, and values of the host's duties."""

from __future__ import annotations

from typing import Any

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
    """Values of BUILD_AND_LOAD, from a trt_info.json, and of the emotions a host gives."""
    return {
        "arguments": _trtexec_arguments(trt),
        "defaults": " and ".join(f"{name} = {value}" for name, value in trt["defaults"].items()),
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
