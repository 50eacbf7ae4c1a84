"""What the dicts among the config keys may hold, each a pydantic model: types and ranges of known entries."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from audio2face.config.kinds import (
    BY_ACTOR,
    Count,
    CountOrZero,
    Degrees,
    Index,
    Layers,
    Name,
    NotNegative,
    Positive,
    Probability,
    Real,
    SaccadeRow,
    Shift,
    Smoothing,
    Strength,
    Switch,
    TwoOrMore,
    Whole,
    Word,
)


class Schema(BaseModel):
    """A dict with known keys only. All are required: a config section always has every key."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ChannelScale(Schema):
    skin: Positive = 1.0
    tongue: Positive = 1.0
    jaw: Positive = 1.0
    eye: Positive = 1.0


ScaleByActor = Annotated[dict[Name, ChannelScale], BY_ACTOR]


class SoundChannels(Schema):
    """Which channel of an actor's sound files is whose voice, from 0."""

    self: Index  # type: ignore[assignment]
    partner: Index | None = None


ChannelsByActor = Annotated[dict[Name, SoundChannels], BY_ACTOR]


class CurveKind(Schema):
    """What the columns of a group are, where their names do not tell."""

    kind: Literal["weights", "plain", "angle", "rotation", "translation"]
    form: Literal["axis_angle", "quaternion", "matrix", "XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"] | None = None
    unit: Literal["degrees", "radians"] | None = None
    low: Real | None = None
    high: Real | None = None


def _curve_kind(value: Any) -> Any:
    """A kind alone is short for a dict with it."""
    return {"kind": value} if isinstance(value, str) else value


CurveKinds = Annotated[dict[Name, dict[Name, Annotated[CurveKind, BeforeValidator(_curve_kind)]]], BY_ACTOR]


class AutocorrParams(Schema):
    num_autocorr: Count
    num_windows: Count
    win_len: Count
    win_stride: Count
    preemph: Annotated[float, Field(strict=True, ge=0, lt=1)]
    remove_dc: Switch
    win_func: Literal["hanning"] | None


class ConvW2vAutocorr(Schema):
    use_w2v_features: Switch
    use_autocorr_features: Switch
    use_melspec_features: Switch
    use_phoneme_ctc_features: Switch
    use_whisper_features: Switch
    w2v_model: Word
    w2v_freeze: Switch
    w2v_num_layers: Annotated[int, Field(strict=True, ge=1, le=24)]
    whisper_model: Word
    whisper_layer: Layers
    whisper_freeze: Switch
    autocorr_params: AutocorrParams
    implicit_emotion_len: Count
    explicit_emo_emb_len: Count


class DiffusionSpeech(Schema):
    """The sound of a diffusion network."""

    audio_encoder: Literal["hubert", "w2v", "whisper", "melspec", "phoneme_ctc"]
    hubert_model: Word
    w2v_model: Word
    whisper_model: Word
    whisper_layer: Layers
    freeze_audio_encoder: Switch


class DiffusionRnn(DiffusionSpeech):
    feature_dim: Count
    jaw_latent_dim: Count
    tongue_latent_dim: Count
    eye_latent_dim: Count
    gru_feature_dim: Count
    num_gru_layers: Count
    emo_embedding_dim: Count
    actor_embedding_dim: Count
    hubert_feature_dim: Count


class DiffusionTransformer(DiffusionSpeech):
    width: Annotated[int, Field(strict=True, ge=8, multiple_of=8)]
    num_layers: Count
    num_heads: Count
    dropout: Annotated[float, Field(strict=True, ge=0, lt=1)]
    reach: CountOrZero


class VqGuide(DiffusionSpeech):
    codebook_size: TwoOrMore
    depth: Count
    code_dim: Count
    codec_width: Count
    width: Annotated[int, Field(strict=True, ge=8, multiple_of=8)]
    num_layers: Count
    num_heads: Count
    dropout: Annotated[float, Field(strict=True, ge=0, lt=1)]


# NETWORK_HYPER_PARAMS of the networks that come with the framework, and the method of each.
HYPER_PARAMS: dict[str, type[Schema]] = {
    "conv_w2v_autocorr": ConvW2vAutocorr,
    "diffusion_rnn": DiffusionRnn,
    "diffusion_rnn_pca": DiffusionRnn,
    "diffusion_transformer": DiffusionTransformer,
    "vq_guide": VqGuide,
}
HYPER_DEFAULTS = {"diffusion_transformer": {"audio_encoder": "melspec"}}  # where they are others than the base module's
NETWORK_METHODS = {
    "conv_w2v_autocorr": "regression",
    "diffusion_rnn": "diffusion",
    "diffusion_rnn_pca": "diffusion",
    "diffusion_transformer": "diffusion",
    "vq_guide": "guide",
}


class RegressionAudio(Schema):
    buffer_len: Count
    buffer_ofs: CountOrZero
    samplerate: Count


class DiffusionAudio(Schema):
    buffer_len: Count
    padding_left: CountOrZero
    padding_right: CountOrZero
    samplerate: Count


class RegressionAugment(Schema):
    timeshift: NotNegative = 0.0


class PitchShift(Schema):
    min_semitones: Real
    max_semitones: Real
    p: Probability


class DiffusionAugment(Schema):
    timeshift: NotNegative = 0.0
    pitch_shift: PitchShift | None = None


def _key(value: Any) -> Any:
    """A frame, or a pair (frame of the file, frame where its pose stands)."""
    whole = [value] if isinstance(value, int) else list(value) if isinstance(value, list | tuple) else []
    if len(whole) in (1, 2) and all(isinstance(v, int) and not isinstance(v, bool) for v in whole):
        return value if isinstance(value, int) else tuple(whole)
    raise ValueError("must be a frame, or (frame, frame where its pose is to stand)")


class EditRequest(Schema):
    """EDIT: which file is edited, and what of it is made anew."""

    file: Word | None
    regenerate: list[Word]
    parts: list[Word] | None
    keep: list[Word]
    keys: list[Annotated[Any, PlainValidator(_key)]]
    first_frame: Whole | None
    blend_seconds: NotNegative
    head_scale: NotNegative
    film: Switch


class Guidance(Schema):
    audio: NotNegative
    partner: NotNegative
    style: NotNegative


class Streaming(Schema):
    audio_pad_left: CountOrZero
    audio_pad_right: CountOrZero
    window_size: Count
    left_truncate: CountOrZero
    right_truncate: CountOrZero
    block_frame_size: Count


class DiffusionPost(Schema):
    """CONFIG, with the ranges that the runtime enforces when it creates an animator."""

    input_strength: Real
    upper_face_smoothing: Smoothing
    lower_face_smoothing: Smoothing
    upper_face_strength: Strength
    lower_face_strength: Strength
    face_mask_level: Probability
    face_mask_softness: Annotated[float, Field(strict=True, ge=0.001, le=0.5)]
    skin_strength: Strength
    blink_strength: Strength
    lower_teeth_strength: Strength
    lower_teeth_height_offset: Shift
    lower_teeth_depth_offset: Shift
    lip_open_offset: Annotated[float, Field(strict=True, ge=-0.2, le=0.2)]
    tongue_strength: Annotated[float, Field(strict=True, ge=0, le=3)]
    tongue_height_offset: Shift
    tongue_depth_offset: Shift
    eyeballs_strength: Strength
    saccade_strength: Strength
    right_eye_rot_x_offset: Degrees
    right_eye_rot_y_offset: Degrees
    left_eye_rot_x_offset: Degrees
    left_eye_rot_y_offset: Degrees
    eyelid_open_offset: Annotated[float, Field(strict=True, ge=-1, le=1)]
    eye_saccade_seed: SaccadeRow


class RegressionPost(DiffusionPost):
    source_shot: Word | None
    source_frame: Index | None
