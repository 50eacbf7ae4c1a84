"""The sounds of partners by their headers: which there are, rate, channels, and length against the animation."""

from __future__ import annotations

from audio2face.dataset.captured import BAD_FILE, CapturedActor, VoiceFile
from audio2face.formats.sound import sound_info
from audio2face.listing import shortened
from audio2face.problems import Problems
from audio2face.types import SAMPLE_RATE

APART_S = 0.5  # by how much a partner's sound may differ from the animation in length


def check_roles(report: Problems, data: CapturedActor) -> None:
    """Which channel of the sounds is whose voice, and sounds without it."""
    roles = data.files.roles
    if roles.own is None:
        return
    partner = roles.partner if roles.folder is None else None
    taken = 0
    for sound in data.sounds:
        count = sound.info.num_channels
        taken += count > 1
        for name, channel in (("self", roles.own), ("partner", partner)):
            if channel is not None and channel >= count > 1:
                what = f"There is no channel {channel}: the file has {count}, counted from 0."
                where = {"shot": sound.shot.name, "file": sound.path, "key": "AUDIO_CHANNELS"}
                report.error("audio.channel", what, f'Correct "{name}", or export the file again.', **where)
    other = f", channel {partner} the partner's" if partner is not None else ""
    what = f"In {taken} of {len(data.sounds)} sounds channel {roles.own} is the actor's voice{other}."
    report.info("audio.channels", what, "", key="AUDIO_CHANNELS")


def check_partners(report: Problems, data: CapturedActor) -> None:
    """Every partner's file; which shots are monologues."""
    roles = data.files.roles
    if not roles.has_partner:
        return
    alone, spoken = [], [sound for sound in data.sounds if sound.voice is None]
    for sound in spoken:
        if roles.folder is None:
            if sound.info.num_channels == 1:
                alone.append(sound.shot.name)
        elif (path := roles.partner_file(sound.shot.name, sound.path)) is None:
            alone.append(sound.shot.name)
        else:
            where = {"shot": sound.shot.name, "file": path, "key": "PARTNER_AUDIO_ROOT"}
            info = report.attempt(sound_info, path, also=BAD_FILE, **where)
            if info is not None:
                _check_file(report, data, VoiceFile(sound.shot, "partner", path, info))
    key = "AUDIO_CHANNELS" if roles.folder is None else "PARTNER_AUDIO_ROOT"
    if spoken and len(alone) == len(spoken):
        report.warning("partner.none", "No shot has a sound of a partner.", "Check names and channels.", key=key)
    elif alone:
        what = (
            f"{len(alone)} of {len(spoken)} shots have no sound of a partner: {shortened(alone)}; they are monologues."
        )
        report.info("partner.monologues", what, "", shot=alone[0], key=key)


def _check_file(report: Problems, data: CapturedActor, sound: VoiceFile) -> None:
    roles, info = data.files.roles, sound.info
    where = {"shot": sound.shot.name, "file": sound.path, "key": "PARTNER_AUDIO_ROOT"}
    if info.sample_rate < SAMPLE_RATE:
        what = f"{info.sample_rate} Hz; at least {SAMPLE_RATE} Hz are needed."
        report.error("audio.rate", what, "Find the original recording, or resample it.", **where)
    if roles.partner is not None and roles.partner >= info.num_channels > 1:
        what = f"There is no channel {roles.partner}: the file has {info.num_channels}, counted from 0."
        report.error("audio.channel", what, 'Correct "partner" in AUDIO_CHANNELS.', **where)
    elif roles.partner is None and info.num_channels > 1:
        what = f"The {info.num_channels} channels of the partner's file are averaged."
        report.warning("partner.channels", what, 'Say which is the partner\'s: "partner" in AUDIO_CHANNELS.', **where)
    heard = info.duration_s * data.fps - roles.offsets.get(sound.shot.name, 0)
    if abs(heard - sound.shot.num_frames) > APART_S * data.fps:
        what = f"The partner is heard for {heard:.0f} frames, the animation has {sound.shot.num_frames}."
        fix = "Check that both start at the same moment (PARTNER_AUDIO_OFFSETS); what is missing is taken as silence."
        report.warning("partner.length", what, fix, **where)
