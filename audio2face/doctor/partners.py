"""The samples of two voices: partners who are not to be heard, channels that were exchanged, two voices taken as one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from audio2face.audio.sync import CLEAR, correlation, find_lag
from audio2face.audio.waveform import SILENCE
from audio2face.dataset.captured import CapturedActor
from audio2face.doctor.audio import ShotSound
from audio2face.listing import shortened
from audio2face.problems import Problems

EXCHANGED = 0.3  # by how much more the mouth follows the other voice, at the same moment
TURNS = 0.3  # correlation of two channels' levels below which they are hardly one voice


def check_voices(
    report: Problems,
    data: CapturedActor,
    sounds: Mapping[str, ShotSound],
    opening: Mapping[str, np.ndarray],
) -> None:
    """Two voices against each other and, where the mouth's opening {shot: (T,)} is known, against that."""
    roles = data.files.roles
    key = "AUDIO_CHANNELS" if roles.folder is None else "PARTNER_AUDIO_ROOT"
    silent = [shot for shot, sound in sounds.items() if sound.partner is not None and sound.partner.peak <= SILENCE]
    if silent:
        what = f"The partner is silent throughout {len(silent)} shot(s): {shortened(silent)}."
        fix = "Check that it is the right channel or file; without any sound of a partner a shot is a monologue."
        report.warning("partner.silent", what, fix, shot=silent[0], key=key)
    _check_exchanged(report, data, sounds, opening, key)
    if roles.own is None:
        two = [shot for shot, sound in sounds.items() if _take_turns(sound)]
        if two:
            what = f"The two channels of {len(two)} shot(s) hold different voices, and are averaged: {shortened(two)}."
            fix = f'Say whose they are: AUDIO_CHANNELS = {{{data.actor!r}: {{"self": 0, "partner": 1}}}}.'
            report.warning("audio.two_voices", what, fix, shot=two[0], key="AUDIO_CHANNELS")


def _check_exchanged(
    report: Problems,
    data: CapturedActor,
    sounds: Mapping[str, ShotSound],
    opening: Mapping[str, np.ndarray],
    key: str,
) -> None:
    more: dict[str, float] = {}
    for shot, sound in sounds.items():
        if sound.partner is not None and shot in opening:
            voices = (
                find_lag(shot, energy, opening[shot], data.fps) for energy in (sound.energy, sound.partner.energy)
            )
            own, partner = (0.0 if lag is None else lag.near(0.0) for lag in voices)
            more[shot] = partner - own if partner > CLEAR else 0.0
    wrong = [shot for shot, by in more.items() if by > EXCHANGED]
    if not wrong:
        return
    most = len(wrong) > len(more) / 2
    what = f"In {len(wrong)} of {len(more)} shots the mouth follows the partner's sound more than the actor's: {shortened(wrong)}."
    fix = "The two voices are exchanged: swap them." if most else "Listen to them: are the voices exchanged there?"
    (report.error if most else report.warning)("partner.exchanged", what, fix, shot=wrong[0], key=key)


def _take_turns(sound: ShotSound) -> bool:
    """Whether two channels are both heard, but not at the same moments."""
    levels = sound.channel_levels
    if levels is None or len(levels) != 2 or min(level.max(initial=0.0) for level in levels) < SILENCE:
        return False
    return correlation(*levels) < TURNS
