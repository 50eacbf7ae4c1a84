"""network_info.json: the sizes that the rest of a deployed model is checked against."""

from __future__ import annotations

from dataclasses import dataclass, field

from audio2face.deploy.check.strict_json import Fields, same_length
from audio2face.problems import Problems

EMOTIONS = "amazement anger cheekiness disgust fear grief joy outofbreath pain sadness".split()
_FRAMES = ("num_frames_left_truncate", "num_frames_center", "num_frames_right_truncate")
_MAY_BE_ZERO = {"num_frames_left_truncate", "num_frames_right_truncate", "buffer_ofs", "padding_left", "padding_right"}
_REGRESSION = (
    "implicit_emotion_len", "num_shapes_skin", "num_shapes_tongue", "num_verts_skin", "num_verts_tongue",
    "result_jaw_size", "result_eyes_size",
)  # fmt: skip
_DIFFUSION = (
    "skin_size", "tongue_size", "jaw_size", "eyes_size", "num_diffusion_steps", "num_gru_layers", "gru_latent_dim",
    *_FRAMES,
)  # fmt: skip
_AUDIO = {
    "regression": ("buffer_len", "buffer_ofs", "samplerate"),
    "diffusion": ("buffer_len", "padding_left", "padding_right", "samplerate"),
}


@dataclass
class NetworkInfo:
    """What is known and sound. `numbers` has the file's own keys; `kind` is None when the type is unknown."""

    kind: str | None = None
    numbers: dict[str, int] = field(default_factory=dict)
    emotions: list[str] | None = None
    identities: list[str] | None = None

    @property
    def regression(self) -> bool:
        return self.kind == "regression"

    def sizes(self) -> dict[str, int]:
        """Values of skin, tongue, jaw and eye in mesh space, and the component counts of a regression model."""
        n, out = self.numbers, {}
        if self.regression:
            names = {"jaw": "result_jaw_size", "eye": "result_eyes_size"}
            names |= {"skin_components": "num_shapes_skin", "tongue_components": "num_shapes_tongue"}
            out = {part: 3 * n[f"num_verts_{part}"] for part in ("skin", "tongue") if f"num_verts_{part}" in n}
        else:
            names = {"skin": "skin_size", "tongue": "tongue_size", "jaw": "jaw_size", "eye": "eyes_size"}
        return out | {part: n[key] for part, key in names.items() if key in n}

    def output_size(self) -> int | None:
        """Values of one frame of the network's output."""
        s = self.sizes()
        parts = [f"{part}_components" if self.regression else part for part in ("skin", "tongue")] + ["jaw", "eye"]
        return sum(s[part] for part in parts) if all(part in s for part in parts) else None

    def frames(self) -> tuple[int, int, int] | None:
        """Left, centre and right frames of a diffusion window."""
        if not all(key in self.numbers for key in _FRAMES):
            return None
        left, centre, right = (self.numbers[key] for key in _FRAMES)
        return left, centre, right


def check_network_info(root: Fields) -> NetworkInfo:
    """Rules of network_info.json, and what later rules need of it."""
    info = NetworkInfo()
    report, file = root.report, root.file
    ids, params, audio = root.object("id"), root.object("params"), root.object("audio_params")
    if ids is not None:
        kind, output = ids.text("type"), ids.text("output")
        if kind in _AUDIO:
            info.kind = kind
        elif kind is not None:
            report.error("model-type", f"id.type is {kind!r:.40}, not regression or diffusion", file=file)
        if output not in (None, "geometry"):
            report.error("model-type", f"id.output is {output!r:.40}, not geometry", file=file)
        if kind == "regression":
            ids.text("actor")
    if info.kind is None:
        return info
    if params is not None:
        _check_emotions(params, info)
        for key in _REGRESSION if info.regression else _DIFFUSION:
            _keep(info, params, key, "sizes")
        if not info.regression:
            info.identities = params.texts("identities")
            if info.identities == []:
                report.error("identities", "params.identities is empty", file=file)
        _check_sizes(report, file, info)
    if audio is not None:
        for key in _AUDIO[info.kind]:
            _keep(info, audio, key, "audio")
        _check_windows(report, file, info)
    return info


def _keep(info: NetworkInfo, fields: Fields, key: str, rule: str) -> None:
    value = fields.unsigned(key)
    if value == 0 and key not in _MAY_BE_ZERO:
        fields.report.error(rule, f"{fields.where}.{key} is 0", file=fields.file)
    elif value is not None:
        info.numbers[key] = value


def _check_emotions(params: Fields, info: NetworkInfo) -> None:
    info.emotions = params.texts("explicit_emotions" if info.regression else "emotions")
    default = params.numbers("default_emotion")
    if info.emotions == []:
        params.report.error("emotions", "the list of emotions is empty", file=params.file)
    lengths = [("emotions", None if info.emotions is None else len(info.emotions))]
    lengths.append(("default_emotion", None if default is None else len(default)))
    same_length(params.report, params.file, "emotions", lengths)
    if info.emotions is not None and info.emotions != EMOTIONS:
        params.report.info(
            "note",
            f"Audio2Emotion and ACE drive the ten emotions {', '.join(EMOTIONS)}, in this order",
            file=params.file,
        )


def _check_sizes(report: Problems, file: str, info: NetworkInfo) -> None:
    sizes = info.sizes()
    for part in ("skin", "tongue", "jaw"):
        if sizes.get(part, 0) % 3:
            report.error("sizes", f"the size of {part}, {sizes[part]}, is not a multiple of 3", file=file)
    if sizes.get("eye", 4) != 4:
        report.error("sizes", f"there are {sizes['eye']} eye values, the runtime reads 4", file=file)
    frames, steps, output = info.frames(), info.numbers.get("num_diffusion_steps"), info.output_size()
    if not info.regression and frames is not None and steps is not None and output is not None:
        if (steps + 1) * sum(frames) * output % 2:
            message = f"(steps {steps} + 1) * frames {sum(frames)} * values {output} is odd: noise cannot be drawn"
            report.error("noise-even", message, file=file)


def _check_windows(report: Problems, file: str, info: NetworkInfo) -> None:
    n, frames = info.numbers, info.frames()
    length = n.get("buffer_len")
    if length is None:
        return
    if n.get("buffer_ofs", 0) > length:
        report.error("audio", f"buffer_ofs {n['buffer_ofs']} lies outside the window of {length} samples", file=file)
    if info.regression or frames is None:
        return
    left, total = frames[0], sum(frames)
    if left * length % total:
        message = f"left {left} * buffer_len {length} does not divide by {total} frames: frame 0 is lost"
        report.error("windows", f"{message}; choose other frame counts", file=file)
    if "padding_left" in n and n["padding_left"] <= left * length // total:
        message = f"padding_left {n['padding_left']} must exceed {left * length // total} samples"
        report.error("windows", f"{message}, the time before the centre of a window", file=file)
