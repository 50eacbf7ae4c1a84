"""Pretrained speech models: from the hub or a local folder through transformers, or torchaudio's `.pth` of weights."""

from __future__ import annotations

import logging
import math
import pickle
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from audio2face.formats.git_lfs import pointer_problems
from audio2face.models.common.layers import STEP
from audio2face.paths import external_path, local_path
from audio2face.problems import UserError, raise_problems

logger = logging.getLogger(__name__)

# Convolutions, a projection and transformer layers under the same names: each can stand in for any other.
SPEECH_MODELS = {  # model_type of config.json -> how transformers' classes begin
    "wav2vec2": "Wav2Vec2",
    "hubert": "Hubert",
    "wavlm": "WavLM",
    "data2vec-audio": "Data2VecAudio",
    "unispeech": "UniSpeech",
    "unispeech-sat": "UniSpeechSat",
}
WHISPER = {"whisper": "Whisper"}
HEAD = "lm_head."  # of a ForCTC
NOT_USED = "masked_spec_embed"  # only for masking, which nobody here does with it
DECODER = "decoder."  # of a Whisper: what writes the words
WEIGHT_FILES = (".bin", ".safetensors")  # of a folder with config.json
CHECKPOINT_FILES = (".pth", ".pt")
HUB_TIMEOUT_S, HUB_WAIT_S = 10, 1
FIELD = 400  # samples of a step of the convolutions: the first is centred on sample 200


@dataclass(frozen=True)
class Use:
    """What a speech model is loaded for, in the words of its messages.

    `key` names it in the config, `ways_out` is what to do without it, `head` how transformers' class ends, `model_type` what
    weights without a config.json are of, which only SPEECH_MODELS can be. `elsewhere` are model types that another key is for, and
    that key; `kinds` the model types that can serve, `layers` the setting that holds their number of layers.
    """

    key: str
    ways_out: Sequence[str]
    head: str = "Model"
    model_type: str = "wav2vec2"
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=lambda: SPEECH_MODELS)
    layers: str = "num_hidden_layers"


class PretrainedEncoder(nn.Module):
    """A SpeechEncoder around a pretrained model, of which parts may be frozen: no dropout in what cannot adapt to it."""

    frozen: bool
    _kept: tuple[nn.Module, ...]  # a tuple, so that they are not registered a second time

    def freeze(self, model: nn.Module, parts: Sequence[nn.Module], whole: bool) -> None:
        """Train a model but for `parts`, which stay in evaluation mode; `whole` says that they are all of it."""
        self.frozen, self._kept = whole, tuple(parts)
        model.requires_grad_(True)
        for part in parts:
            part.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for part in self._kept:
            part.eval()
        return self

    def hidden(self, audio: Tensor) -> Tensor:
        """audio: (B, N) → what the model gives at every step."""
        raise NotImplementedError

    def features(self, audio: Tensor) -> Tensor:
        """audio: (B, N) → `hidden` of it when all of the model is frozen; the audio itself when it is trained."""
        if not self.frozen:
            return audio
        with torch.no_grad():
            return self.hidden(audio)


def build_model(settings: Mapping[str, Any], model_type: str = "wav2vec2") -> Any:
    """A speech model from its settings alone, with random weights; `model_type` where they name none. {} is the base size."""
    import transformers

    name = SPEECH_MODELS[settings.get("model_type", model_type)]
    config = getattr(transformers, f"{name}Config")(**settings)
    return getattr(transformers, f"{name}Model")(config)


def model_settings(model: Any) -> dict[str, Any]:
    """Settings that build the same model without its source: JSON values."""
    values = model.config.to_diff_dict()
    return {k: v for k, v in values.items() if k not in ("transformers_version", "dtype")}


def load_speech_model(
    source: str,
    settings: Mapping[str, Any],
    use: Use,
    cache_root: Path | str | None = None,
) -> Any:
    """A pretrained model of any of `use.kinds`, float32, with `settings` over its own.

    `source` is a name on the hub, a local folder, or torchaudio's `.pth` of the base size.
    `use.layers` in `settings` keeps the first layers.

    Raises:
        UserError: no such file, no connection and nothing cached, another kind of model, or weights missing.
    """
    path = local_path(source)
    raise_problems([f"{use.key}: {line}" for line in pointer_problems([path])])
    if path.suffix in WEIGHT_FILES and (path.parent / "config.json").is_file():
        path = path.parent
    if path.is_dir():
        with _user_error(f"{use.key}: {external_path(path)} cannot be read"):
            return _read_folder(path, settings, use)
    if path.is_file():
        if use.head != "Model" or use.model_type not in SPEECH_MODELS:
            raise UserError(f"{use.key}: {source} is a file; a folder with config.json and the weights is needed")
        model = build_model(settings, use.model_type)
        fill_from_checkpoint(model, path, use.key)
        return model
    if _is_path(source):
        raise UserError(f"{use.key}: {source} does not exist")
    cache = str(cache_root) if cache_root is not None else None
    kept = f"  ways out: connect to the internet once (it is kept in {cache or 'the Hugging Face cache'});"
    ways_out = [kept, *(f"  {line}" for line in use.ways_out)]
    with _user_error(f"{use.key}: {source!r} is not a folder here, and could not be downloaded", ways_out):
        try:
            return _read(source, settings, use, cache_dir=cache, local_files_only=True)
        except OSError:  # not in the cache, or not all of it
            _reach(source)
            return _read(source, settings, use, cache_dir=cache)


def load_whisper(
    source: str, blocks: int, use: Use, cache_root: Path | str | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Settings of a Whisper, and the weights of its encoder's first `blocks` blocks under transformers' names.

    Raises:
        UserError: as `load_speech_model`.
    """
    model = load_speech_model(source, {"encoder_layers": blocks, "decoder_layers": 0}, use, cache_root)
    return model.config.to_dict(), model.encoder.state_dict()


def _is_path(source: str) -> bool:
    """Whether a source that does not exist cannot be a name on the hub, which has at most one slash."""
    path = Path(source)
    return (
        path.is_absolute()
        or source.startswith((".", "~"))
        or len(path.parts) > 2
        or path.suffix in (*CHECKPOINT_FILES, *WEIGHT_FILES)
    )


def _read_folder(folder: Path, settings: Mapping[str, Any], use: Use) -> Any:
    if not (folder / "config.json").is_file():
        files = sorted(p for p in folder.iterdir() if p.suffix in CHECKPOINT_FILES)
        hint = f"; did you mean {files[0].name} in it?" if files else ", which holds config.json and the weights"
        raise UserError(f"{use.key}: {external_path(folder)} is not the folder of a speech model{hint}")
    return _read(str(folder), settings, use, local_files_only=True)


def _read(source: str, settings: Mapping[str, Any], use: Use, **where: Any) -> Any:
    """Read a model through transformers, whole or not at all."""
    import transformers

    values, _ = transformers.PretrainedConfig.get_config_dict(source, **where)
    name = use.kinds[_checked_type(values, source, use)]
    config = getattr(transformers, f"{name}Config").from_dict(values)
    layers = getattr(config, use.layers)
    wanted = settings.get(use.layers, layers)
    if wanted > layers:
        raise UserError(f"{use.key}: {source} has {layers} layers, {wanted} requested")
    config.update(dict(settings))
    with _quiet():
        model, found = getattr(transformers, name + use.head).from_pretrained(
            source,
            config=config,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported here
            **where,
        )
    missing = [
        name for name in sorted(found["missing_keys"]) if not name.endswith(NOT_USED) and not name.startswith(DECODER)
    ]
    faults = [f"{name} missing" for name in missing]
    faults += [
        f"{name} {list(theirs)} in place of {list(ours)}" for name, theirs, ours in sorted(found["mismatched_keys"])
    ]
    what = f"{use.key}: {source} is a {values['model_type']} model"
    if faults and all(name.startswith(HEAD) for name in missing) and not found["mismatched_keys"]:
        raise UserError(
            f"{what} without a layer that names phonemes ({missing[0]}); choose one fine-tuned to name them"
        )
    if faults:
        raise UserError(
            f"{what} by its config.json, but not all of one: {_first(faults)}; copy it again or choose another"
        )
    logger.info("%s; its first %d layer(s) are read", what, wanted)
    return model


def _checked_type(values: Mapping[str, Any], source: str, use: Use) -> str:
    """The model's type, of those that can serve. Raises UserError naming what it is, and the key that it is for."""
    model_type = str(values.get("model_type") or "")
    if model_type in use.elsewhere:
        raise UserError(f"{use.key}: {source} is a {model_type} model; for it, set {use.elsewhere[model_type]}")
    if model_type not in use.kinds:
        known = ", ".join(use.kinds)
        what = f"is a {model_type} model" if model_type else "names no model_type in its config.json"
        raise UserError(f"{use.key}: {source} {what}; what can be used here is {known}")
    kernels, strides = (values.get(f"conv_{name}") for name in ("kernel", "stride"))
    if use.head == "Model" and kernels and strides:
        hop = math.prod(strides)
        reach = 1 + sum((kernel - 1) * math.prod(strides[:i]) for i, kernel in enumerate(kernels))
        if (hop, reach) != (STEP, FIELD):
            raise UserError(
                f"{use.key}: {source} has steps of {reach} samples every {hop}; {FIELD} every {STEP} are needed, as "
                "wav2vec 2.0 base does"
            )
    return model_type


def _reach(name: str) -> None:
    """Ask the hub for a model's config.json, again once: without a network its own client would retry for half a minute."""
    import huggingface_hub as hub

    if hub.constants.HF_HUB_OFFLINE:
        return
    url = hub.hf_hub_url(name, "config.json")
    for attempt in (1, 2):
        try:
            hub.get_hf_file_metadata(url, timeout=HUB_TIMEOUT_S)
            return
        except Exception as error:  # its HTTP client's, which differ between versions
            status = getattr(getattr(error, "response", None), "status_code", 500)
            if attempt == 2 or status < 500:
                raise
            logger.warning("%s: %s; trying once more", url, _reason(error))
            time.sleep(HUB_WAIT_S)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' own report and progress bar: what matters of it is an error here."""
    from transformers.utils import logging as theirs

    level, bars = theirs.get_verbosity(), theirs.is_progress_bar_enabled()
    theirs.set_verbosity_error()
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        theirs.set_verbosity(level)
        if bars:
            theirs.enable_progress_bar()


@contextmanager
def _user_error(what: str, ways_out: Sequence[str] = ()) -> Iterator[None]:
    """A failure of the libraries that read and download, which raise anything, is the source's."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError([f"{what}: {_reason(error)}", *ways_out]) from error


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _first(faults: Sequence[str]) -> str:
    return faults[0] if len(faults) == 1 else f"{faults[0]}, and {len(faults) - 1} more of its weights"


def fill_from_checkpoint(model: nn.Module, path: Path, key: str) -> None:
    """Load torchaudio's weights of a base model (`.pth`) into a transformers model of the same size.

    Layers beyond the model's own are left out, everything else must be there. Raises UserError naming `key` and the file
    when it holds anything else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"{key}: {external_path(path)} could not be read as weights: {_reason(error)}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(
            f"{key}: {external_path(path)} holds no state dict {{name: tensor}}, such as torchaudio's models save"
        )
    state = rename_torchaudio(state)
    wanted = {name: value for name, value in model.state_dict().items() if name in state or name != NOT_USED}
    faults = [f"{name} missing" for name in wanted if name not in state]
    faults += [
        f"{name} {list(state[name].shape)} in place of {list(value.shape)}"
        for name, value in wanted.items()
        if name in state and state[name].shape != value.shape
    ]
    if faults:
        raise UserError(
            f"{key}: {external_path(path)} does not hold torchaudio's weights of a {type(model).__name__} of base size: "
            f"{_first(faults)}; for other models set a folder with config.json and the weights"
        )
    model.load_state_dict({name: state[name] for name in wanted}, strict=False)


def rename_torchaudio(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """torchaudio's names of the weights of its wav2vec 2.0 and HuBERT models → transformers' names."""
    renamed = {}
    for name, value in state.items():
        name = name.removeprefix("model.")
        name = name.replace("encoder.feature_projection.", "feature_projection.").replace(
            "encoder.transformer.", "encoder."
        )
        for old, new in (("weight_g", "original0"), ("weight_v", "original1")):
            name = name.replace(f"pos_conv_embed.conv.{old}", f"pos_conv_embed.conv.parametrizations.weight.{new}")
        renamed[name] = value
    return renamed
