"""The README.md of a deployed diffusion model."""

from __future__ import annotations

from typing import Any

from audio2face.audio.windows import Streaming
from audio2face.deploy.readme import BUILD_AND_LOAD, common_values, curve_lead, curve_note, curve_rows, triangle_row
from audio2face.formats.json_file import read_json
from audio2face.runs.train_run import ActorData, TrainRun

_DIFFUSION = (
    """\
# {run}: speech-driven faces of {actors}

A diffusion network, version {version}, packaged for the Audio2Face-3D runtime (the Audio2Face-3D SDK, Maya-ACE and the
plugins built on them).
{curve_lead}
| file | what it is |
|---|---|
| `model.json` | the entry point: load this file; its paths are relative to it |
| `network.onnx` | the network with its {steps} denoising steps, float32, any batch size |
| `network.trt` | the TensorRT engine that the runtime runs; **not included, build it once as below** |
| `network_info.json`, `trt_info.json` | sizes and names; arguments for building the engine |
| `export_check.json` | how closely `network.onnx` equals the trained network |
| `manifest.json` | size and SHA-256 of the files that stay as they are: `python -m runners.verify DIR` compares them |
| `model_config_<actor>.json` | an actor's post-processing values: edit them freely, no training or engine build is needed |
| `model_data_<actor>.npz` | an actor's neutral pose and the other geometry |
{blendshape_rows}
Lists in `model.json` are in the order of the identities: {numbered}.

## 1. Build the engine

An engine belongs to one GPU model and one TensorRT version, so it is built on the machine that runs it (about
{builder_time} s). With TensorRT (10.13 or newer, below 11) installed, in this folder:

"""
    + BUILD_AND_LOAD
    + """\
{blendshape_note}
## 3. What a host must do

- **Sound**: mono float32 samples at {rate} Hz, {level}. The network was trained on such sound; the runtime does not do this, and does
  not use `input_strength` of a diffusion model unless the host sets it.
- **Windows**: {window} samples, each {hop:g} samples after the one before, the first {pad} samples before the sound. A window
  gives {frames} frames at {fps:g} a second, of which the {centre} after the first {left} are shown.
- **State**: `input_latents` is zero for the first window, then the `output_latents` of the window before.
- **Noise**: `noise` is normal noise. The same for every window repeats the same small motions; fresh noise does not.
- **Identity**: one-hot, in the order above. It chooses the way of moving; the geometry is that of `model_data_<actor>.npz`.
- **Emotion**: {emotion_weights}, 0 to 1, for every shown frame, in this order: {emotions}.
  {zero_note}A host has to send at least one emotion key; `default_emotion` is only a suggestion to it.
{early_note}{curve_note}"""
)


_PEAK = """**divided by the largest absolute sample of the whole track** (leave a
  track that stays below 0.01 as it is)"""
_STANDARDIZED = """**brought to mean 0 and variance 1 over the whole track**
  (NO_STANDARDIZE_AUDIO was False)"""


def diffusion_readme(run: TrainRun, actors: list[ActorData]) -> str:
    """README.md of a deployed diffusion model."""
    spec = run.spec
    exported = run.export_folder(spec.actors[0])
    trt, info = read_json(exported / "trt_info.json"), read_json(exported / "network_info.json")
    try:
        steps = info["params"]["num_diffusion_steps"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"network_info.json: not what was exported ({error!r})") from error
    s = Streaming.of(spec.extra["streaming"])
    return _DIFFUSION.format(
        run=run.name,
        actors=", ".join(spec.actors),
        numbered=", ".join(f"{i} {name}" for i, name in enumerate(spec.actors)),
        version=spec.network_version,
        steps=steps,
        blendshape_rows="".join(_blendshape_row(files) for actor in actors for files in actor.blendshapes.values())
        + "".join(map(triangle_row, actors))
        + curve_rows(spec),
        curve_lead=curve_lead(spec),
        curve_note=curve_note(spec, actors),
        blendshape_note=_blendshape_note(actors),
        builder_time=trt["estimated_trt_builder_time"],
        rate=spec.audio_params["samplerate"],
        level=_STANDARDIZED if spec.extra.get("standardize") else _PEAK,
        window=s.window,
        hop=s.window * s.centre / s.frames,
        pad=s.pad_left,
        frames=s.frames,
        centre=s.centre,
        left=s.left,
        fps=spec.fps,
        **common_values(spec, trt),
        early_note=_early_note(s),
    )


def _blendshape_row(files: dict[str, Any]) -> str:
    return f"| `{files['data'].name}`, `{files['config'].name}` | blendshapes and their solver's settings |\n"


def _blendshape_note(actors: list[ActorData]) -> str:
    lacking = [actor.actor for actor in actors if set(actor.blendshapes) != {"skin", "tongue"}]
    if not lacking:
        return ""
    return (
        f"\nThere is no complete set of skin and tongue blendshapes for {', '.join(lacking)}: the model gives vertices, and a\n"
        "host that asks for blendshape weights refuses it. Give BLENDSHAPE_SKIN_FPATH, BLENDSHAPE_TONGUE_FPATH and their\n"
        "CONFIG files in config_dataset and deploy again to have them; no training is needed.\n"
    )


def _early_note(s: Streaming) -> str:
    """What the runtime's rounding does when the frames before the centre are not a whole number of samples."""
    if s.left * s.window % s.frames == 0:
        return ""
    return (
        f"- **Time stamps**: {s.left} frames are not a whole number of samples, so the runtime stamps every frame one sample\n"
        "  early and leaves out the first one. The difference is not visible; STREAMING_CFG with a left_truncate whose samples are\n"
        "  whole avoids it.\n"
    )
