"""Whose voice is where: the actor's own channel of its sound files, and the sound of the person whom it talks to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from audio2face.dataset.clips import nearest
from audio2face.formats.sound import SOUND_SUFFIXES
from audio2face.paths import local_path
from audio2face.problems import Problems
from audio2face.types import Clip, Partner, Track

if TYPE_CHECKING:
    from audio2face.config import Section

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SoundRoles:
    """AUDIO_CHANNELS, PARTNER_AUDIO_ROOT and PARTNER_AUDIO_OFFSETS of one actor.

    `own` is the actor's channel (None: its files hold one voice), `partner` that of the partner: of the actor's files or, with
    a `folder`, of the files there. A mono file is of one voice whatever they are. `offsets` are those of shots, in frames.
    """

    own: int | None = None
    partner: int | None = None
    folder: Path | None = None
    offsets: Mapping[str, int] = field(default_factory=dict)

    @property
    def has_partner(self) -> bool:
        """Whether the partner is recorded at all."""
        return self.folder is not None or self.partner is not None

    def partner_of(self, shot: str, audio: Path, offset: int, num_channels: Callable[[Path], int]) -> Partner | None:
        """The partner in a shot whose own sound is `audio`, of which frame i sounds at i + offset; None in a monologue."""
        if self.folder is not None:
            path = self.partner_file(shot, audio)
            if path is None:
                return None
            channel = self.partner if num_channels(path) > 1 else None
            return Partner(Track(path, channel), self.offsets.get(shot, 0))
        if self.partner is None or num_channels(audio) == 1:
            return None
        return Partner(Track(audio, self.partner), offset)

    def partner_file(self, shot: str, audio: Path) -> Path | None:
        """The partner's file for the sound of a shot: of the same name, in whatever format; None without one."""
        if self.folder is None:
            return None
        names = dict.fromkeys((audio.name, *(f"{stem}{s}" for stem in (audio.stem, shot) for s in SOUND_SUFFIXES)))
        return next((path for name in names if (path := self.folder / name).is_file()), None)


def build_roles(dataset: Section, actor: str) -> SoundRoles:
    """What config_dataset says of the voices in an actor's sounds."""
    channels, folder = dataset.AUDIO_CHANNELS.get(actor, {}), dataset.PARTNER_AUDIO_ROOT.get(actor)
    return SoundRoles(
        channels.get("self"),
        channels.get("partner"),
        None if folder is None else local_path(folder),
        dict(dataset.PARTNER_AUDIO_OFFSETS.get(actor, {})),
    )


def with_roles(
    problems: Problems, clips: Sequence[Clip], roles: Mapping[str, SoundRoles], num_channels: Callable[[Path], int]
) -> list[Clip]:
    """The clips, each with its actor's channel and its partner. Files without the channels that they should have are added to
    `problems`; `num_channels` is that of a sound file, ValueError when it cannot be read."""
    found: list[Clip] = []
    for clip in clips:
        own, where = roles[clip.shot.actor], {"actor": clip.shot.actor, "shot": clip.shot.name}
        if clip.audio is None:
            found.append(clip)
            continue
        try:
            channel = own.own if num_channels(clip.audio) > 1 else None
            partner = own.partner_of(clip.shot.name, clip.audio, clip.audio_offset, num_channels)
            for track in (Track(clip.audio, channel), *([partner.track] if partner else [])):
                if track.channel is not None and track.channel >= (count := num_channels(track.path)):
                    what = f"{track.path.name} has no channel {track.channel}: it has {count}, counted from 0"
                    problems.error("", what, key="AUDIO_CHANNELS", **where)
        except ValueError as error:
            problems.error("", str(error), key="PARTNER_AUDIO_ROOT", **where)
            continue
        found.append(replace(clip, channel=channel, partner=partner))
    return found


def check_offsets(problems: Problems, roles: Mapping[str, SoundRoles], shots: Mapping[str, Collection[str]]) -> None:
    """Add shots of PARTNER_AUDIO_OFFSETS that no actor has; `shots` are the names of each actor's."""
    for actor, own in roles.items():
        for shot in own.offsets:
            if shot not in shots[actor]:
                what = f"there is no shot {shot!r}{nearest(shot, shots[actor])}"
                problems.error("", what, actor=actor, key="PARTNER_AUDIO_OFFSETS")


def report_partners(clips: Sequence[Clip]) -> None:
    """Say in how many clips a partner is heard, and which are monologues."""
    alone = list(dict.fromkeys(clip.shot.name for clip in clips if clip.audio is not None and clip.partner is None))
    heard = sum(clip.partner is not None for clip in clips)
    if heard:
        more = f"; monologues: {', '.join(alone[:6])}{' …' if len(alone) > 6 else ''}" if alone else ""
        logger.info("a partner is heard in %d of %d clips%s", heard, len(clips), more)
