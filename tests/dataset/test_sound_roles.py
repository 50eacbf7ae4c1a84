"""Whose voice is where: channels of one file, files of the partner's own, monologues."""

from pathlib import Path

import pytest

from audio2face.config import section_from_values
from audio2face.dataset.sound_roles import SoundRoles, build_roles, check_offsets, with_roles
from audio2face.problems import Problems
from audio2face.types import Clip, Partner, Shot, Track

CHANNELS = {"stereo.wav": 2, "mono.wav": 1, "call.flac": 2}


def clip(name="stereo.wav", shot="s", offset=4, folder=Path("own")):
    return Clip(Shot("ann", shot, 100, 30.0, "neutral"), 0, 99, folder / name, offset)


def found(roles, *clips):
    problems = Problems()
    made = with_roles(problems, clips or (clip(),), {"ann": roles}, lambda path: CHANNELS[path.name])
    return made, [str(problem) for problem in problems]


def test_channels_of_one_file_share_its_offset():
    (made,), problems = found(SoundRoles(own=1, partner=0))
    assert made.track == Track(Path("own/stereo.wav"), 1) and not problems
    assert made.partner == Partner(Track(Path("own/stereo.wav"), 0), 4)


def test_without_roles_clips_stay_what_they_were():
    muted = Clip(Shot("ann", "m", 5, 30.0, "joy"), 0, 4, None, held=("s", 3))
    made, problems = found(SoundRoles(), clip(), muted)
    assert made == [clip(), muted] and not problems


def test_a_mono_file_among_conversations_is_a_monologue():
    for roles in (SoundRoles(own=0, partner=1), SoundRoles(own=1, partner=0)):
        (made,), problems = found(roles, clip("mono.wav"))
        assert made.channel is None and not problems
        assert made.partner is None


def test_a_file_without_the_actors_channel_is_named():
    _, problems = found(SoundRoles(own=2))
    assert problems == ["ann, s, AUDIO_CHANNELS: stereo.wav has no channel 2: it has 2, counted from 0"]


def test_a_partners_own_files_have_their_own_offsets_and_formats(tmp_path):
    (tmp_path / "call.flac").touch()
    roles = SoundRoles(own=0, folder=tmp_path, offsets={"call": -7})
    (made, alone), problems = found(roles, clip("call.flac", "call"), clip("mono.wav", "other"))
    assert made.partner == Partner(Track(tmp_path / "call.flac"), -7)
    assert alone.partner is None and not problems
    voice = clip("mono.wav", "call", folder=Path("own/aug/cy"))  # another voice that speaks the same shot
    assert found(roles, voice)[0][0].partner == made.partner
    _, problems = found(SoundRoles(folder=tmp_path, partner=2), clip("call.flac", "call"))
    assert "call.flac has no channel 2" in problems[0]


def test_offsets_of_unknown_shots_are_named():
    problems = Problems()
    check_offsets(problems, {"ann": SoundRoles(offsets={"cal": 3, "call": 2})}, {"ann": {"call": 1}})
    assert [str(p) for p in problems] == ["ann, PARTNER_AUDIO_OFFSETS: there is no shot 'cal'; did you mean 'call'?"]


def test_roles_come_from_the_config():
    values = {"AUDIO_CHANNELS": {"ann": {"self": 1}}, "PARTNER_AUDIO_ROOT": {}, "PARTNER_AUDIO_OFFSETS": {}}
    section = section_from_values("dataset", values)
    assert build_roles(section, "ann") == SoundRoles(own=1) and build_roles(section, "bob") == SoundRoles()


@pytest.mark.parametrize("roles, there", [(SoundRoles(), False), (SoundRoles(0), False), (SoundRoles(0, 1), True)])
def test_whether_there_is_a_partner(roles, there):
    assert roles.has_partner == there
