"""Regression network `conv_w2v_autocorr`: a window of audio and an emotion in, one frame of the face out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from audio2face.distributed import WHOLE, Rng
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.conditions import ConditionDropout, Conditions, ConditionSpec
from audio2face.models.common.encoders import ENCODERS, SpeechEncoder
from audio2face.models.common.encoders.pretrained import SPEECH_MODELS, WHISPER, Use
from audio2face.models.common.layers import STEP, ConditionedTimeConvs, PhonemeHead, head_of, num_steps
from audio2face.models.common.onednn_conv import join_channels
from audio2face.models.common.starting_weights import columns_of
from audio2face.problems import UserError
from audio2face.runs.train_run import NetworkSpec

WIDTH = 256
HEAD_WIDTH = 150
W2V = Use(
    "NETWORK_HYPER_PARAMS w2v_model",
    (
        "or set NETWORK_HYPER_PARAMS['w2v_model'] to a local folder with config.json and the weights, or to",
        "torchaudio's wav2vec2_fairseq_base_ls960.pth; or train without them: use_w2v_features False and",
        "use_phoneme_ctc_features True (needs the package hama) or use_melspec_features True (needs nothing)",
    ),
    elsewhere={"whisper": "NETWORK_HYPER_PARAMS use_whisper_features True and whisper_model to it"},
)
WHISPER_MODEL = Use(
    "NETWORK_HYPER_PARAMS whisper_model",
    (
        "or set NETWORK_HYPER_PARAMS['whisper_model'] to a local folder with config.json and the weights;",
        "or train without it: use_whisper_features False and use_phoneme_ctc_features True (needs the package hama)",
        "or use_melspec_features True (needs nothing)",
    ),
    model_type="whisper",
    elsewhere={kind: "NETWORK_HYPER_PARAMS use_w2v_features True and w2v_model to it" for kind in SPEECH_MODELS},
    kinds=WHISPER,
    layers="encoder_layers",
)
W2V_DROPOUT = dict.fromkeys(("feat_proj_dropout", "hidden_dropout", "activation_dropout", "attention_dropout"), 0.1)


class ConvW2vAutocorr(nn.Module):
    """Audio encoders side by side, convolutions along time with the emotion concatenated, linear heads.

    Audio is 16 kHz, peak-normalised over its track. Rows B are frames (batch · sequence, flattened). The forward pass
    is in two parts, so that the features of frozen encoders can be computed once:
    `forward(audio, conditions) == decode(features(audio), conditions)`.
    """

    def __init__(
        self,
        output_sizes: Mapping[str, int],
        num_emotions: int,
        num_actors: int = 1,
        implicit_emotion_len: int = 16,
        explicit_emo_emb_len: int = 8,
        phoneme_sizes: Mapping[str, int] | None = None,
        buffer_len: int = 8320,
        use_w2v_features: bool = True,
        use_autocorr_features: bool = True,
        use_melspec_features: bool = False,
        use_phoneme_ctc_features: bool = False,
        use_whisper_features: bool = False,
        w2v_freeze: bool = True,
        w2v_num_layers: int = 1,
        w2v_model: str = "facebook/wav2vec2-base",
        w2v_config: dict[str, Any] | None = None,
        whisper_model: str = "openai/whisper-base",
        whisper_layer: int | Sequence[int] = 3,
        whisper_freeze: bool = True,
        whisper_config: dict[str, Any] | None = None,
        autocorr_params: Mapping[str, Any] | None = None,
        cache_root: Path | str | None = None,
        pretrained: bool = True,
    ):
        """Build the network; the pretrained encoders read their weights.

        Args:
            output_sizes: channel → size, in output order ("tongue…" channels get a head of their own).
            num_emotions: length of the emotion vector; may be 0.
            num_actors: length of the actor's one-hot, which the network takes when there are several.
            phoneme_sizes: language → number of phonemes; empty for no phoneme head.
            buffer_len: samples per window, a multiple of 320 and at least 640.
            cache_root: where downloaded weights are kept.
            pretrained: False builds the same modules for weights that `load_weights` brings, needing no download and
                no optional package.

        Raises:
            UserError: no encoder chosen, a buffer that cannot be divided, or weights that cannot be found.
        """
        super().__init__()
        if buffer_len % STEP or buffer_len < 2 * STEP:
            raise UserError(f"AUDIO_PARAMS: buffer_len must be a multiple of 320 and at least 640, not {buffer_len}")
        loaded = {"cache_root": cache_root, "pretrained": pretrained, "width": WIDTH}
        w2v = {"use": W2V, "source": w2v_model, "settings": {**W2V_DROPOUT, "num_hidden_layers": w2v_num_layers}}
        whisper = {"use": WHISPER_MODEL, "source": whisper_model, "layer": whisper_layer}
        offered: dict[str, tuple[bool, dict[str, Any]]] = {
            "w2v": (use_w2v_features, {**w2v, "frozen": w2v_freeze, "config": w2v_config, **loaded}),
            "whisper": (
                use_whisper_features,
                {**whisper, "frozen": whisper_freeze, "config": whisper_config, **loaded},
            ),
            "phoneme_ctc": (use_phoneme_ctc_features, {"pretrained": pretrained, "width": WIDTH}),
            "melspec": (use_melspec_features, {}),
            "autocorr": (use_autocorr_features, {"buffer_len": buffer_len, **(autocorr_params or {})}),
        }
        chosen = {name: arguments for name, (wanted, arguments) in offered.items() if wanted}
        if not chosen:
            raise UserError("NETWORK_HYPER_PARAMS: at least one of the use_…_features keys must be True")

        self.output_sizes = dict(output_sizes)
        self.encoders = nn.ModuleDict({name: ENCODERS[name](**arguments) for name, arguments in chosen.items()})
        explicit = {"emotion": num_emotions, "actor": num_actors if num_actors > 1 else 0}
        sizes = {"implicit": implicit_emotion_len, **{name: size for name, size in explicit.items() if size}}
        self.dropout = ConditionDropout([ConditionSpec(name, "static", size) for name, size in sizes.items()])
        explicit_len = sum(explicit.values())
        self.emotion = nn.Linear(explicit_len, explicit_emo_emb_len) if explicit_len else None
        condition = implicit_emotion_len + (explicit_emo_emb_len if explicit_len else 0)
        self.time = ConditionedTimeConvs(WIDTH * len(chosen), num_steps(buffer_len), condition, WIDTH)
        self.summary = nn.Linear(self.time.flat_size, WIDTH)
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(WIDTH + condition, HEAD_WIDTH), nn.Linear(HEAD_WIDTH, sum(sizes)))
                for name, sizes in self._head_sizes().items()
            }
        )
        self.phonemes = PhonemeHead(WIDTH, phoneme_sizes) if phoneme_sizes else None

    def features(self, audio: Tensor) -> dict[str, Tensor]:
        """audio: (B, N) → what the encoders compute before their first trainable weight, by encoder; rows are B."""
        return {name: cast(SpeechEncoder, encoder).features(audio) for name, encoder in self.encoders.items()}

    @property
    def conditions(self) -> tuple[ConditionSpec, ...]:
        """What the network takes beside sound: an implicit emotion, and as far as there are any, emotions and actors."""
        return self.dropout.specs

    def decode(
        self, features: Mapping[str, Tensor], conditions: Conditions, rng: Rng = WHOLE
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """features: from `features`; conditions: those of `conditions`, (B, size) each; `rng` is drawn from in training.

        Returns the frame (B, C), channels in the order of `output_sizes`, and phoneme logits {language: (B, T, P)}.
        """
        maps = [encoder(features[name], rng).transpose(1, 2) for name, encoder in self.encoders.items()]
        condition = self._condition(self.dropout(conditions, rng))
        x = self.summary(self.time(join_channels(maps), condition, rng))
        x = torch.cat([x, condition], 1)
        split = {name: self.heads[name](x).split(sizes, 1) for name, sizes in self._head_sizes().items()}
        parts = {name: iter(outputs) for name, outputs in split.items()}
        frame = torch.cat([next(parts[head_of(channel)]) for channel in self.output_sizes], 1)
        return frame, self.phonemes(maps[0], rng) if self.phonemes is not None else {}

    def forward(self, audio: Tensor, conditions: Conditions) -> tuple[Tensor, dict[str, Tensor]]:
        """audio (B, N) and conditions -> as `decode`."""
        return self.decode(self.features(audio), conditions)

    def _condition(self, conditions: Conditions) -> Tensor:
        """(B, I + embedded emotion and actor)."""
        implicit, *explicit = (conditions[spec.name] for spec in self.conditions)
        if self.emotion is None:
            return implicit
        return torch.cat([implicit, self.emotion(explicit[0] if len(explicit) == 1 else torch.cat(explicit, 1))], 1)

    def rebuild_arguments(self) -> dict[str, Any]:
        """Arguments to add to the same constructor call so that it needs no download: JSON values."""
        rebuilt: dict[str, Any] = {"pretrained": False}
        for name in ("w2v", "whisper"):
            if name in self.encoders:
                rebuilt[f"{name}_config"] = cast(SpeechEncoder, self.encoders[name]).rebuild_arguments()["config"]
        return rebuilt

    @staticmethod
    def weight_axes(spec: NetworkSpec) -> dict[str, tuple[int, ChannelLayout]]:
        """{weight: (axis, what lies along it)} of the weights at the edges of the network that a spec describes."""
        axes: dict[str, tuple[int, ChannelLayout]] = {}
        for head in ("face", "tongue", "curves"):
            layout = ChannelLayout({c: size for c, size in spec.max_sizes.items() if head_of(c) == head})
            axes |= {f"heads.{head}.1.{kind}": (0, layout) for kind in ("weight", "bias")}
        emotions, actors = columns_of(spec)
        return {**axes, "emotion.weight": (1, ChannelLayout({**emotions, **(actors if len(actors) > 1 else {})}))}

    def _head_sizes(self) -> dict[str, list[int]]:
        """Head → sizes of its channels, in output order."""
        sizes: dict[str, list[int]] = {}
        for channel, size in self.output_sizes.items():
            sizes.setdefault(head_of(channel), []).append(size)
        return sizes


NETWORKS = {"conv_w2v_autocorr": ConvW2vAutocorr}  # by NETWORK_NAME
