"""Who is heard in what is animated: for each sound the voice that moves the face, and that of the person whom it talks to."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from audio2face.audio.waveform import mixed_down, one_voice, resample
from audio2face.config import Section
from audio2face.formats.sound import read_sound, sound_info
from audio2face.inference.audio_inputs import audio_files, local_paths
from audio2face.problems import UserError, raise_problems
from audio2face.runs.train_run import TrainRun
from audio2face.types import Track

logger = logging.getLogger(__name__)

ROLES = {"self": 0, "partner": 1}  # of two channels, where nothing else says
APART_S = 1.0  # by how much the sounds of two people who talk may differ in length


@dataclass(frozen=True)
class Talk:
    """One side of what is animated: the actor whose face moves, its own voice, and the partner's (None in a monologue).

    `name` begins the names of its outputs.
    """

    name: str
    actor: str
    own: Track
    partner: Track | None = None

    def other_side(self, actor: str) -> Talk:
        """What the partner says, as an actor who hears this one."""
        assert self.partner is not None
        own = self.partner
        name = own.path.stem if own.path.stem != self.own.path.stem else f"{self.own.path.stem}_partner"
        return Talk(name, actor, own, self.own)


def build_talks(
    section: Section,
    run: TrainRun,
    actor: str,
    partner_actor: str | None = None,
    files: Sequence[Path] | None = None,
) -> list[Talk]:
    """What config_inference asks for: a talk for each sound of AUDIO_PATH (`files`, where they are known); with BOTH_SIDES also
    the other side of each, as `partner_actor`.

    Raises UserError with everything that is wrong with the sounds.
    """
    files = audio_files(local_paths(section.AUDIO_PATH)) if files is None else files
    given = section.values.get
    partners = _partners(local_paths(given("PARTNER_AUDIO_PATH")), files)
    swap, both = bool(given("SWAP_ROLES")), bool(given("BOTH_SIDES"))
    channels, hears = run.spec.extra.get("channels", {}).get(actor, {}), run.spec.extra.get("partner", False)
    if not hears and (partners or both):
        key = "PARTNER_AUDIO_PATH" if partners else "BOTH_SIDES"
        raise UserError(
            f"{key}: {run.name} hears the actor alone; a partner is heard after training with PARTNER_AUDIO_ROOT or "
            "AUDIO_CHANNELS in config_dataset.py, by a diffusion_transformer"
        )
    talks, problems = [], []
    for file in files:
        try:
            talk = _talk(file, partners.get(file), actor, channels, hears or swap)
        except ValueError as error:
            other = partners.get(file)
            key = "PARTNER_AUDIO_PATH" if other is not None and str(other) in str(error) else "AUDIO_PATH"
            problems.append(f"{key}: {error}")
            continue
        if (swap or both) and talk.partner is None:
            key = "SWAP_ROLES" if swap else "BOTH_SIDES"
            problems.append(
                f"{key}: {file} holds one voice, and there is no partner's: give PARTNER_AUDIO_PATH (--partner)"
            )
            continue
        talk = talk.other_side(actor) if swap else talk
        talk = talk if hears else replace(talk, partner=None)
        _report(talk)
        talks += [talk, talk.other_side(partner_actor or actor)] if both else [talk]
    problems += [
        f"AUDIO_PATH: two animations would be named {name!r}; rename a file"
        for (name, _), count in Counter((talk.name.lower(), talk.actor) for talk in talks).items()
        if count > 1
    ]
    raise_problems(problems)
    return talks


def _talk(file: Path, other: Path | None, actor: str, channels: Mapping[str, int | None], roles: bool) -> Talk:
    """The talk of a file and of the partner's file, if there is one; `roles`: whether channels may be two people."""
    if other is not None:
        return Talk(file.stem, actor, _voice(file, channels.get("self")), _voice(other, channels.get("partner")))
    count = sound_info(file).num_channels
    if count == 1 or not (roles or channels):
        return Talk(file.stem, actor, Track(file))
    if one_voice(read_sound(file)[0]):
        logger.info("%s: its channels are alike: one voice", file)
        return Talk(file.stem, actor, Track(file))
    own, partner = (channels if "self" in channels else ROLES).get("self"), (channels or ROLES).get("partner")
    return Talk(file.stem, actor, _voice(file, own), _voice(file, partner) if roles and partner is not None else None)


def partner_track(run: TrainRun, actor: str, file: Path) -> Track:
    """Whose voice in a partner's file a run's actor hears. Raises ValueError when it has no such channel."""
    return _voice(file, run.spec.extra.get("channels", {}).get(actor, {}).get("partner"))


def one_voice_of(track: Track) -> tuple[np.ndarray, int]:
    """The samples (N,) of a voice, and their rate. Raises ValueError when the file cannot be read, or has no such channel."""
    samples, rate = read_sound(track.path)
    _check_channel(track.path, track.channel, samples.shape[1])
    return mixed_down(samples if track.channel is None else samples[:, [track.channel]]), rate


def _voice(file: Path, channel: int | None) -> Track:
    """A voice of a file, whose channel counts where there are several. Raises ValueError when it has no such channel."""
    count = sound_info(file).num_channels
    if count == 1:
        return Track(file)
    if channel is None:
        logger.warning("%s: its %d channels are averaged, as of one voice", file, count)
    _check_channel(file, channel, count)
    return Track(file, channel)


def _check_channel(file: Path, channel: int | None, count: int) -> None:
    if channel is not None and channel >= count:
        raise ValueError(f"{file}: has no channel {channel}: it has {count}, counted from 0 (AUDIO_CHANNELS)")


def _report(talk: Talk) -> None:
    """Say who is heard where."""
    if talk.own.channel is not None or talk.partner is not None:
        logger.info("%s: %s; partner: %s", talk.name, *map(_words, (talk.own, talk.partner)))
    if talk.partner is None or talk.partner.path == talk.own.path:
        return
    own_s, partner_s = (sound_info(track.path).duration_s for track in (talk.own, talk.partner))
    if abs(own_s - partner_s) > APART_S:
        rest = "the rest is taken as silence" if partner_s < own_s else "what is beyond is not heard"
        text = "%s lasts %.1f s and the partner's %s %.1f s: do both start at the same moment? (%s)"
        logger.warning(text, talk.own.path.name, own_s, talk.partner.path.name, partner_s, rest)


def _words(track: Track | None) -> str:
    if track is None:
        return "nobody"
    return track.path.name if track.channel is None else f"channel {track.channel} of {track.path.name}"


def _partners(paths: Sequence[Path], files: Sequence[Path]) -> dict[Path, Path]:
    """{sound: the partner's} by order, or by name where a folder is given. Raises UserError."""
    if not paths:
        return {}
    try:
        found = audio_files(paths)
    except UserError as error:
        raise UserError([line.replace("AUDIO_PATH", "PARTNER_AUDIO_PATH") for line in error.lines]) from error
    if any(path.is_dir() for path in paths):
        by_name = {path.stem: path for path in found}
        lacking = [file.stem for file in files if file.stem not in by_name]
        if len(lacking) == len(files):
            raise UserError(f"PARTNER_AUDIO_PATH {paths[0]}: no sound there is named as one of AUDIO_PATH")
        if lacking:
            logger.warning("PARTNER_AUDIO_PATH: nothing for %s: animated as monologues", ", ".join(lacking))
        return {file: by_name[file.stem] for file in files if file.stem in by_name}
    if len(found) != len(files):
        raise UserError(f"PARTNER_AUDIO_PATH names {len(found)} sound(s), AUDIO_PATH {len(files)}: give one for each")
    return dict(zip(files, found, strict=True))


def sides_of(talks: Sequence[Talk]) -> list[list[Talk]]:
    """The talks in order, the two sides of one together."""
    found: list[list[Talk]] = []
    for talk in talks:
        first = found[-1][0] if found and len(found[-1]) == 1 else None
        if first is not None and talk.partner == first.own and talk.own == first.partner:
            found[-1].append(talk)
        else:
            found.append([talk])
    return found


def both_voices(talk: Talk) -> tuple[np.ndarray, int]:
    """Both voices of a talk, to be heard with it: samples (N, 2), the own voice left, the partner's right, and their rate. Without
    a partner the file as it is, (N,) or (N, C)."""
    if talk.partner is None:
        return read_sound(talk.own.path)
    own, rate = one_voice_of(talk.own)
    other, its_rate = one_voice_of(talk.partner)
    voices = own, resample(other, its_rate, rate)
    out = np.zeros((max(map(len, voices)), 2), np.float32)
    for side, voice in enumerate(voices):
        out[: len(voice), side] = voice
    return out, rate
