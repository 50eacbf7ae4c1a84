"""What GetConfigs answers: the settings in force, as three files whose names and keys its clients know."""

from __future__ import annotations

import json
from typing import Any

from audio2face.serving.engine import ServedModel
from audio2face.serving.names import FACE_PARAMETERS
from audio2face.serving.request import EmotionSettings

# CONFIG keys that go by another name there.
OTHER_NAMES = {"eyelid_open_offset": "eyelid_offset", "lip_open_offset": "lip_close_offset"}


def config_files(served: ServedModel, as_json: bool) -> dict[str, str]:
    """{file name: text} of the stylization, deployment and advanced configs."""
    suffix, write = ("json", _json) if as_json else ("yaml", _yaml)
    parts = {"stylization": _stylization(served), "deployment": _deployment(served), "advanced": _advanced(served)}
    return {f"{name}_config.{suffix}": write(values) for name, values in parts.items()}


def _stylization(served: ServedModel) -> dict[str, Any]:
    config, emotion = served.model.details(served.actor).config, EmotionSettings()
    keys = [parameter.key for parameter in FACE_PARAMETERS.values() if parameter.key in config]
    return {
        "default_beginning_emotions": dict(zip(served.emotions, map(float, served.default), strict=True)),
        "a2e": {
            "enabled": False,
            "live_transition_time": emotion.transition_s,
            "post_processing_params": {
                "emotion_strength": emotion.strength,
                "enable_preferred_emotion": emotion.preferred_enabled,
                "preferred_emotion_strength": emotion.preferred_strength,
            },
        },
        "a2f": {
            "inference_type": "regression" if served.regression else "diffusion",
            "model": {"inference_model_id": served.actor, "identity": served.actor},
            "face_params": {OTHER_NAMES.get(key, key): float(config[key]) for key in keys if key},
            "blendshape_params": {"enable_clamping_bs_weight": False, "blend_shapes": list(served.names)},
        },
    }


def _deployment(served: ServedModel) -> dict[str, Any]:
    options = served.options
    return {
        "common": {"stream_number": options.streams, "add_silence_padding_after_audio": options.tail_s > 0},
        "endpoints": {"use_bidirectional": True},
    }


def _advanced(served: ServedModel) -> dict[str, Any]:
    options = served.options
    return {
        "pipeline_parameters": {"max_audio_clip_size": options.max_clip_s, "max_wait_time_idle": options.idle_s},
        "a2f": {"fps": float(options.fps or served.fps), "sample_rate": served.model.sample_rate},
    }


def _json(values: Any) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _yaml(values: Any, indent: str = "") -> str:
    """A dict of dicts, lists of names, numbers and texts; every scalar of JSON is one of YAML."""
    lines = []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            lines.append(f"{indent}{key}:\n{_yaml(value, indent + '  ')}")
        else:
            lines.append(f"{indent}{key}: {json.dumps(value, ensure_ascii=False)}\n")
    return "".join(lines)
