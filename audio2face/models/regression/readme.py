"""The README.md of a deployed regression model."""

from __future__ import annotations

from audio2face.deploy.readme import BUILD_AND_LOAD, common_values, curve_lead, curve_note, curve_rows, triangle_row
from audio2face.formats.json_file import read_json
from audio2face.listing import shortened
from audio2face.runs.emotion_db import EmotionDB
from audio2face.runs.train_run import ActorData, TrainRun

_REGRESSION = (
    """\
# {name}: speech-driven face of {actor}

A regression network, version {version}, from the training run `{run}`, packaged for the Audio2Face-3D runtime
(the Audio2Face-3D SDK, Maya-ACE and the plugins built on them).
{curve_lead}
| file | what it is |
|---|---|
| `model.json` | the entry point: load this file; its paths are relative to it |
| `network.onnx` | the network, float32, any batch size |
| `network.trt` | the TensorRT engine that the runtime runs; **not included, build it once as below** |
| `network_info.json`, `trt_info.json` | sizes and names; arguments for building the engine |
| `export_check.json` | how closely `network.onnx` equals the trained network |
| `manifest.json` | size and SHA-256 of the files that stay as they are: `python -m runners.verify DIR` compares them |
| `model_config.json` | post-processing values: edit them freely, no training or engine build is needed |
| `model_data.npz` | neutral pose, principal components and the other geometry |
| `implicit_emo_db.npz` | implicit emotions of the training shots |
{blendshape_rows}
## 1. Build the engine

An engine belongs to one GPU model and one TensorRT version, so it is built on the machine that runs it. With TensorRT
(10.13 or newer, below 11) installed, in this folder:

"""
    + BUILD_AND_LOAD
    + """\
4. Set Maya's time slider to the frame rate you want; the network was trained at {fps:g} frames a second and answers
   at any.
{blendshape_note}
## 3. What a host must do

- **Sound**: mono float32 samples at {rate} Hz, **divided by the largest absolute sample of the whole track** (leave a
  track that stays below 0.01 as it is). The network was trained on such sound and has no input for the level. The
  runtime does not do this; `input_strength` in `model_config.json` is a further gain, 1.0 being what was trained.
- **Windows**: {length} samples; the face belongs to the moment of sample {offset}, counted from 0 (`audio_params` in
  `network_info.json`).
- **Emotion**: {emotion_weights}, 0 to 1, in this order: {emotions}.
  {zero_note}A host has to send at least one emotion key; `default_emotion` is only a suggestion to it.
- **Implicit emotion**: `source_shot` and `source_frame` in `model_config.json` pick a row of `implicit_emo_db.npz`, a
  manner of speaking learned from that moment. Now: shot `{shot}`, row {row}. Shots: {shots}.
{curve_note}"""
)


def regression_readme(run: TrainRun, actor: ActorData, database: EmotionDB, shot: str, row: int) -> str:
    """README.md of one actor's deployed regression model, which uses `row` of `shot` as its implicit emotion."""
    spec = run.spec
    trt = read_json(run.export_folder(actor.actor) / "trt_info.json")
    shots = list(database.spans)
    return _REGRESSION.format(
        name=run.name if run.one_folder else f"{run.name}/{actor.actor}",
        actor=actor.actor,
        version=spec.network_version,
        run=run.name,
        blendshape_rows=_blendshape_rows(actor) + triangle_row(actor) + curve_rows(spec),
        curve_lead=curve_lead(spec),
        curve_note=curve_note(spec, [actor]),
        fps=spec.fps,
        blendshape_note=_blendshape_note(actor),
        rate=spec.audio_params["samplerate"],
        length=spec.audio_params["buffer_len"],
        offset=spec.audio_params["buffer_ofs"],
        **common_values(spec, trt),
        shot=shot,
        row=row,
        shots=shortened(shots, 40),
    )


def _blendshape_rows(actor: ActorData) -> str:
    rows = ""
    for part, files in actor.blendshapes.items():
        rows += (
            f"| `{files['data'].name}`, `{files['config'].name}` | {part} blendshapes and their solver's settings |\n"
        )
    return rows


def _blendshape_note(actor: ActorData) -> str:
    if set(actor.blendshapes) == {"skin", "tongue"}:
        return ""
    return (
        "\nThis model holds no complete set of skin and tongue blendshapes: it gives vertices, and a host that asks\n"
        "for blendshape weights refuses it. Give BLENDSHAPE_SKIN_FPATH, BLENDSHAPE_TONGUE_FPATH and their CONFIG\n"
        "files in config_dataset and deploy again to have them; no training is needed.\n"
    )
