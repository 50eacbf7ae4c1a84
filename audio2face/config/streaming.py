"""STREAMING_CFG: the windows in which a live host runs a diffusion network, and whether they fit the rate and the sound."""

from __future__ import annotations

from audio2face.config.name_rules import Found

WHOLE = 1e-4  # frames that a window may differ from a whole number: 29.97 is not quite 30000 / 1001


def streaming_entry(fps: float, entries: dict[str, dict[str, int]], audio: dict[str, int]) -> dict[str, int] | None:
    """The entry of STREAMING_CFG for a rate; when there is none, one with windows of AUDIO_PARAMS.

    Half of such a window's frames are the block, about a quarter comes before it: as many as are a whole number of
    samples, if there are. None when the window's frames are not whole.
    """
    if f"{fps:g}" in entries:
        return entries[f"{fps:g}"]
    window = audio["buffer_len"]
    frames = round(window * fps / audio["samplerate"])
    if frames < 2 or abs(window * fps / audio["samplerate"] - frames) > WHOLE:
        return None
    block = frames // 2
    quarter = (frames - block) // 2
    whole = max(count for count in range(quarter + 1) if count * window % frames == 0)
    left = whole if 2 * whole >= quarter else quarter
    return {
        "audio_pad_left": audio["padding_left"],
        "audio_pad_right": audio["padding_right"],
        "window_size": window,
        "left_truncate": left,
        "right_truncate": frames - block - left,
        "block_frame_size": block,
    }


def fitting_window(fps: float, audio: dict[str, int], multiple: int = 1) -> str:
    """What to set in AUDIO_PARAMS for windows near its own that have whole frames, a `multiple` of them, and whole samples."""
    window, rate = audio["buffer_len"], audio["samplerate"]
    counts = range(2 * multiple, round(2 * window * fps / rate) + 1, multiple)
    found = [n for frames in counts if abs((n := round(frames * rate / fps)) * fps / rate - frames) <= WHOLE]
    if not found:
        return "no window near fits; take a TARGET_FPS such as 24, 30, 48, 50 or 60"
    best = min(found, key=lambda samples: abs(samples - window))
    return f'set AUDIO_PARAMS = {{"buffer_len": {best}, "padding_left": {best}, "padding_right": {best}}}'


def streaming_rule(fps: float, entries: dict[str, dict[str, int]], audio: dict[str, int]) -> Found:
    """The entry for TARGET_FPS: there or computed, whole windows, context within the padding, in agreement with AUDIO_PARAMS."""
    entry, at = streaming_entry(fps, entries, audio), f"train.STREAMING_CFG/{fps:g}"
    if entry is None:
        yield (
            "train.STREAMING_CFG",
            f'has no entry "{fps:g}" for TARGET_FPS, and none follows: {audio["buffer_len"]} samples '
            f"(AUDIO_PARAMS/buffer_len) are {audio['buffer_len'] * fps / audio['samplerate']:.6g} frames; "
            + fitting_window(fps, audio),
        )
        return
    frames = entry["left_truncate"] + entry["block_frame_size"] + entry["right_truncate"]
    if abs(entry["window_size"] * fps / audio["samplerate"] - frames) > WHOLE:
        yield (
            f"{at}/window_size",
            f"{entry['window_size']} samples are {entry['window_size'] * fps / audio['samplerate']:g} frames, "
            f"and left_truncate + block_frame_size + right_truncate is {frames}",
        )
    if audio["padding_left"] * frames < entry["left_truncate"] * entry["window_size"]:
        yield "train.AUDIO_PARAMS/padding_left", "must last as long as left_truncate, or the first frames are lost"
    pairs = {"window_size": "buffer_len", "audio_pad_left": "padding_left", "audio_pad_right": "padding_right"}
    for mine, theirs in pairs.items():
        if entry[mine] != audio[theirs]:
            yield f"{at}/{mine}", f"is {entry[mine]}, and AUDIO_PARAMS/{theirs} is {audio[theirs]}; they must agree"
