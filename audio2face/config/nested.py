"""What each config key may be: one pydantic model for each config file and method.

The models check types and ranges only; defaults and documentation are in `config_base`, rules between keys in
`rules`. Every key of a base module has its field here, and the reverse.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from audio2face.config.kinds import (
    BY_ACTOR,
    AudioPath,
    Clip,
    Count,
    CountByActor,
    Degrees,
    Emotion,
    EmotionOrTimeline,
    EmotionWeights,
    Files,
    Filled,
    Flag,
    Index,
    LanguageMap,
    MutedShot,
    Name,
    NotNegative,
    Positive,
    Probability,
    Real,
    SaccadeRow,
    Share,
    Shift,
    ShotsByActor,
    Smoothing,
    Strength,
    Text,
    ValidationClips,
    Weight,
    unique,
)

KINDS = ("dataset", "preproc", "train", "inference")
NETWORK_TYPES = ("regression", "diffusion")


class Schema(BaseModel):
    """A dict with known keys only. All are required: a config section always has every key."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ChannelScale(Schema):
    skin: Positive = 1.0
    tongue: Positive = 1.0
    jaw: Positive = 1.0
    eye: Positive = 1.0


class Dataset(Schema):
    ACTOR_NAMES: Annotated[list[Name], AfterValidator(unique)]
    CACHE_FPS: Annotated[dict[Name, Positive], BY_ACTOR]
    UNITS_PER_METRE: Positive
    AUDIO_ROOT: Files
    PHONEME_ROOT: Files
    SKIN_CACHE_ROOT: Files
    SKIN_NEUTRAL_FPATH: Files
    SKIN_NEUTRAL_INFERENCE_FPATH: Files
    SKIN_LIP_OPEN_POSE_DELTA_FPATH: Files
    SKIN_EYE_CLOSE_POSE_DELTA_FPATH: Files
    SKIN_LIP_DIST_VERTEX_LIST_FPATH: Files
    SKIN_LIP_SIZE_VERTEX_LIST_FPATH: Files
    SKIN_EYE_DIST_VERTEX_LIST_FPATH: Files
    SKIN_TRIANGLES_FPATH: Files
    TONGUE_CACHE_ROOT: Files
    TONGUE_NEUTRAL_FPATH: Files
    TONGUE_NEUTRAL_INFERENCE_FPATH: Files
    TONGUE_RIGID_VERTEX_LIST_FPATH: Files
    TONGUE_TRIANGLES_FPATH: Files
    JAW_KEYPOINTS_NEUTRAL_FPATH: Files
    JAW_ANIM_DATA_FPATH: Files
    EYE_ANIM_DATA_FPATH: Files
    EYE_BLINK_KEYS_FPATH: Files
    EYE_SACCADE_ROTATIONS_FPATH: Files
    BLENDSHAPE_SKIN_FPATH: Files
    BLENDSHAPE_SKIN_CONFIG_FPATH: Files
    BLENDSHAPE_TONGUE_FPATH: Files
    BLENDSHAPE_TONGUE_CONFIG_FPATH: Files
    SHOT_EMOTION_NAMES: Annotated[list[Filled], Field(min_length=1), AfterValidator(unique)]
    SHOT_EMOTION_MAP: list[tuple[Filled, Filled, Filled]]
    SHOT_LANGUAGE_MAP: LanguageMap
    TRANSFORM_SCALE: Annotated[dict[Name, ChannelScale], BY_ACTOR]
    SKIP_DATA_CHECKS: list[Filled]


class Preproc(Schema):
    RUN_NAME: Name
    RUN_INFO: Text
    SKIN_PRUNE_CACHE_ROOT: Files
    SKIN_PRUNE_MESH_MASK_FPATH: Files
    SKIN_CACHE_SHOTS: ShotsByActor
    SKIN_PRUNE_CACHE_SHOTS: ShotsByActor
    SKIN_PRUNE_SIM_DIST: NotNegative
    SKIN_SELECT_DISTINCT_MAX_ITER: Count
    SKIN_PCA_VARIANCE_THRESHOLD: Share
    SKIN_FORCE_COMPONENTS: CountByActor
    TONGUE_CACHE_SHOTS: ShotsByActor
    TONGUE_PRUNE_SIM_DIST: NotNegative
    TONGUE_PCA_VARIANCE_THRESHOLD: Share
    TONGUE_FORCE_COMPONENTS: CountByActor
    DEFAULT_JAW_KEYPOINTS_SHAPE: tuple[Annotated[int, Field(strict=True, ge=3)], Literal[3]]
    DEFAULT_EYE_BLINK_KEYS_SHAPE: tuple[Count]
    DEFAULT_EYE_SACCADE_ROT_SHAPE: tuple[Count, Literal[2]]
    DEFAULT_TONGUE_PCA_SHAPE: tuple[Count, Count, Literal[3]]
    PREPROC_OUTPUT_ROOT: Filled
    VERBOSE: Flag
    PREPROC_MEMORY_GB: Positive


class AutocorrParams(Schema):
    num_autocorr: Count
    num_windows: Count
    win_len: Count
    win_stride: Count
    preemph: Annotated[float, Field(strict=True, ge=0, lt=1)]
    remove_dc: Flag
    win_func: Literal["hanning"] | None


class ConvW2vAutocorr(Schema):
    use_w2v_features: Flag
    use_autocorr_features: Flag
    use_melspec_features: Flag
    use_phoneme_ctc_features: Flag
    w2v_model: Filled
    w2v_freeze: Flag
    w2v_num_layers: Annotated[int, Field(strict=True, ge=1, le=24)]
    autocorr_params: AutocorrParams
    implicit_emotion_len: Count
    explicit_emo_emb_len: Count


class DiffusionRnn(Schema):
    audio_encoder: Literal["hubert", "w2v", "melspec", "phoneme_ctc"]
    hubert_model: Filled
    w2v_model: Filled
    feature_dim: Count
    jaw_latent_dim: Count
    tongue_latent_dim: Count
    eye_latent_dim: Count
    gru_feature_dim: Count
    num_gru_layers: Count
    emo_embedding_dim: Count
    actor_embedding_dim: Count
    hubert_feature_dim: Count
    freeze_audio_encoder: Flag


# NETWORK_HYPER_PARAMS of the networks that come with the framework, and the method of each.
HYPER_PARAMS: dict[str, type[Schema]] = {
    "conv_w2v_autocorr": ConvW2vAutocorr,
    "diffusion_rnn": DiffusionRnn,
    "diffusion_rnn_pca": DiffusionRnn,
}
NETWORK_METHODS = {
    "conv_w2v_autocorr": "regression",
    "diffusion_rnn": "diffusion",
    "diffusion_rnn_pca": "diffusion",
}


class RegressionAudio(Schema):
    buffer_len: Count
    buffer_ofs: Index
    samplerate: Count


class DiffusionAudio(Schema):
    buffer_len: Count
    padding_left: Index
    padding_right: Index
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


class Streaming(Schema):
    audio_pad_left: Index
    audio_pad_right: Index
    window_size: Count
    left_truncate: Index
    right_truncate: Index
    block_frame_size: Count


class Train(Schema):
    RUN_NAME: Name
    RUN_INFO: Text
    NETWORK_VERSION: Filled
    PREPROC_ROOT: Filled
    PREPROC_RUN_NAME_FULL: Annotated[dict[Name, Name], BY_ACTOR]
    SKIN_PCA_COEFFS_FPATH: Files
    SKIN_PCA_SHAPES_FPATH: Files
    TONGUE_PCA_COEFFS_FPATH: Files
    TONGUE_PCA_SHAPES_FPATH: Files
    DATA_INFO_FPATH: Files
    SHOT_LIST_FPATH: Files
    TARGET_FPS: Annotated[float, Field(strict=True, gt=0, le=1000)]
    RESCALE_TARGET_CHANNEL_DATA: Flag
    AUDIO_PREPROC_METHOD: Literal["w2v", "nva2f"]
    CLIPS: list[Clip]
    VALIDATION_CLIPS: ValidationClips
    VALIDATION_PERIOD: Count
    PREVIEW_PERIOD: Count | None
    EARLY_STOPPING_PATIENCE: Count | None
    EXPORT_WEIGHTS: Literal["last", "best"]
    AUG_MUTED_SHOTS: list[MutedShot]
    AUG_MUTED_SKIN_IS_NEUTRAL_FOR_NEUTRAL_EMO: Flag
    AUG_MUTED_TONGUE_IS_NEUTRAL: Flag
    AUG_MUTED_AUDIO_NOISE_TYPE: Literal["mic", "gauss"] | None
    AUG_MUTED_AUDIO_NOISE_SCALE: NotNegative
    AUG_MUTED_AUDIO_NOISE_LOCAL_SCALE_RANGE: tuple[NotNegative, NotNegative]
    NETWORK_NAME: Filled
    NETWORK_HYPER_PARAMS: dict[str, Any]
    PRETRAINED_NET_FPATH: Filled | None
    BATCH_SIZE: Count
    NUM_EPOCHS: Count
    LEARNING_RATE: Positive
    LEARNING_RATE_SCALING: Literal["none", "sqrt", "linear"]
    LEARNING_RATE_BATCH_SIZE: Count
    WEIGHT_DECAY: NotNegative
    EMA_DECAY: Annotated[float, Field(strict=True, gt=0, lt=1)] | None
    LOSS_MOTION_ALPHA: Weight
    LOSS_LIP_DIST_ALPHA: Weight
    LOSS_LIP_DIST_EXP: NotNegative
    LOSS_LIP_DIST_EMO_WEIGHTS: EmotionWeights
    TRAIN_OUTPUT_ROOT: Filled
    FINAL_DEPLOY_ROOT: Filled
    TORCH_CACHE_ROOT: Filled
    ONNX_OPSET: Annotated[int, Field(strict=True, ge=14, le=20)]
    ONNX_EXPORTER: Literal["torchscript", "dynamo"]
    SHOT_EMOTION_NAME_FOR_ALL_ZEROS: Filled | None
    DEFAULT_SHOT_EMOTION_NAME: Filled
    LOG_PERIOD: Count
    REPRODUCIBLE: Flag
    RNG_SEED_TORCH: Index
    RNG_SEED_DATASET: Index
    CHECKPOINT_PERIOD: Count
    CHECKPOINT_MINUTES: Positive
    CHECKPOINT_KEEP: Count
    NUM_PROCESSES: Count | None
    PRECISION: Literal["fp32", "bf16"]
    COMPILE: Flag
    AUDIO_DATA_CACHING: Flag
    PHONEME_DATA_CACHING: Flag
    TARGET_DATA_CACHING: Flag
    TARGET_OBJECTS_TO_CUDA: Flag
    TIMESHIFT_GRID: Count
    FEATURE_CACHE_GB: NotNegative


RegressionMetric = Literal[
    "lip_vertex_error_mm",
    "mouth_opening_correlation",
    "mouth_opening_error_mm",
    "mouth_opening_relative_error",
    "MSE",
]
DiffusionMetric = Literal["total", "MSE", "LIP_DIST", "VELOCITY", "EXP_SMOOTH"]
RegressionChannel = Literal["skin_coeffs", "tongue_coeffs", "jaw", "eye"]
DiffusionChannel = Literal["skin_pose", "tongue_pose", "jaw", "eye"]


class TrainRegression(Train):
    NETWORK_TYPE: Literal["regression"]
    BEST_METRIC: RegressionMetric | None
    TARGET_CHANNELS: Annotated[list[RegressionChannel], AfterValidator(unique)]
    AUDIO_PARAMS: RegressionAudio
    AUGMENT: RegressionAugment
    SEQ_LEN: Count
    SEQ_STRIDE: Count
    REMOVE_CLOSING_EYE: Flag
    EYE_DIST_THRESHOLD: NotNegative
    PHONEME_FORCING_LANGS: Annotated[list[Filled], AfterValidator(unique)]
    PHONEME_MODEL: Filled
    PHONEME_PROB_TEMPERATURE: Positive
    EMO_INIT_SIGMA: NotNegative
    EMO_LR_MULT: NotNegative
    LR_STEP_GAMMA: Share
    LR_SCHEDULE: Literal["step", "cosine"]
    LOSS_MSE_ALPHA: Weight
    LOSS_EMO_REG_ALPHA: Weight
    LOSS_LIP_SIZE_ALPHA: Weight
    LOSS_LIP_SIZE_EMO_WEIGHTS: EmotionWeights
    LOSS_VOL_STAB_REG_ALPHA: Weight
    LOSS_VOL_STAB_REG_EXP: NotNegative
    LOSS_PHONEME_ALPHA: Weight
    LOSS_PHONEME_SIL_WEIGHT: NotNegative
    LOSS_PHONEME_MOTION_ALPHA: Weight
    COMPACTIFY_IMPLICIT_EMO_DB: Flag


class TrainDiffusion(Train):
    NETWORK_TYPE: Literal["diffusion"]
    BEST_METRIC: DiffusionMetric | None
    TARGET_CHANNELS: Annotated[list[DiffusionChannel], AfterValidator(unique)]
    MEAN_GEOMETRY_FPATH: Files
    AUDIO_PARAMS: DiffusionAudio
    NO_STANDARDIZE_AUDIO: Flag
    TRAIN_ON_RANDOM_SUBSEGMENT: Flag
    SUBSEGMENT_MIN_FRAME: Annotated[int, Field(strict=True, ge=2)]
    SUBSEGMENT_MAX_FRAME: Annotated[int, Field(strict=True, ge=2)]
    AUGMENT: DiffusionAugment
    DIFFUSION_STEPS: Count
    DIFFUSION_NOISE_SCHEDULE: Literal["cosine", "linear"]
    STEP_BIAS: NotNegative
    TIMESTEP_RESPACING: Text
    STREAMING_CFG: dict[str, Streaming]
    GRADIENT_ACCUMULATION_STEPS: Count
    LR_MIN: NotNegative
    LR_WARMUP_INIT: NotNegative
    LR_WARMUP_EPOCHS: Index
    GRADIENT_CLIP_NORM: Positive | None
    TONGUE_WEIGHT: NotNegative
    JAW_WEIGHT: NotNegative
    LOSS_VELOCITY_ALPHA: Weight
    LOSS_EXP_SMOOTH_ALPHA: Weight


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
    source_shot: Filled | None
    source_frame: Index | None


OutputFormat = Literal["maya", "npy", "pc2", "arkit_csv", "json", "usd", "gltf", "mp4"]


class Inference(Schema):
    AUDIO_PATH: AudioPath
    ACTOR_NAME: Name | None
    INFERENCE_OUTPUT_ROOT: Filled
    OUTPUT_MAYA_CACHE: Flag
    OUTPUT_NPY_FILE: Flag
    OUTPUT_FORMATS: Annotated[list[OutputFormat], AfterValidator(unique)] | None
    APPLY_POSTPROCESSING: Flag


class InferenceRegression(Inference):
    CONFIG: RegressionPost
    EMOTION_LABEL: Emotion
    INFERENCE_MODE: Literal["offline", "offline_onnx"]


class InferenceDiffusion(Inference):
    CONFIG: DiffusionPost
    CONDITION: Name | None
    EMOTION_LABEL: EmotionOrTimeline
    INFERENCE_MODE: (
        Literal[
            "offline",
            "streaming",
            "streaming_stateless",
            "streaming_stateless_output_delta",
            "streaming_stateless_onnx",
            "streaming_stateless_trt",
            "streaming_stateless_output_delta_onnx",
            "streaming_stateless_output_delta_trt",
        ]
        | None
    )
    NUM_SAMPLES: Count
    TIMESTEP_RESPACING: Text | None
    NUM_DIFFUSION_STEPS: Count
    SKIP_STEPS: Index
    USE_DDIM: Flag
    DETERMINISTIC_NOISE_PATH: Filled | None
    RNG_SEED_INFERENCE: Index
    USE_PER_FRAME_EMO_LABEL: Flag
    USE_EXTERNAL_NOISE_INPUT: Flag
    USE_DELTA_OUTPUT: Flag


SCHEMAS: dict[tuple[str, str], type[Schema]] = {
    ("dataset", "regression"): Dataset,
    ("dataset", "diffusion"): Dataset,
    ("preproc", "regression"): Preproc,
    ("preproc", "diffusion"): Preproc,
    ("train", "regression"): TrainRegression,
    ("train", "diffusion"): TrainDiffusion,
    ("inference", "regression"): InferenceRegression,
    ("inference", "diffusion"): InferenceDiffusion,
}
