"""Tracks of an edit: what kept frames have beyond components is met, and post-processing is that of the file."""

import numpy as np

from audio2face.face.codec import Channel
from audio2face.face.curves import Block, CurveGroup
from audio2face.inference.edit.clock import Clock
from audio2face.inference.edit.job import stretches
from audio2face.inference.edit.request import Edit
from audio2face.inference.edit.tracks import CurvesTrack, SkinTrack
from audio2face.types import Pca

COUNT = 40
KEPT = (np.arange(COUNT) < 10) | (np.arange(COUNT) >= 30)


def skin(raw=None, shown=None, stays=0.0):
    rng = np.random.default_rng(0)
    components = np.linalg.qr(rng.normal(size=(60, 3)))[0].T.reshape(3, 20, 3).astype(np.float32)
    coeffs = np.sin(np.arange(COUNT)[:, None] / 7 + np.arange(3)).astype(np.float32)
    mean = rng.normal(size=(20, 3)).astype(np.float32)
    own = mean + np.einsum("tk,kvc->tvc", coeffs, components)
    channel = Channel("skin_coeffs", "mesh", 3, basis=Pca(components, mean))
    source = own if shown is None else shown(own)
    return SkinTrack(channel, source.astype(np.float32), np.full(20, stays), 5.0, raw and coeffs, shown), coeffs


def test_a_network_that_says_what_was_there_changes_nothing():
    for track, coeffs in (skin(), skin(True, lambda x: 2 * x + 1)):
        np.testing.assert_allclose(track.renewed(coeffs, 0, KEPT), track.source, atol=1e-5)
        np.testing.assert_allclose(track.coeffs, coeffs, atol=1e-5)


def test_what_a_skin_has_beyond_its_components_dies_away_in_a_gap():
    track, coeffs = skin()
    wrinkle = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
    basis = track.channel.basis.components.reshape(3, -1)
    wrinkle -= ((wrinkle.ravel() @ basis.T) @ basis).reshape(20, 3)
    worn = SkinTrack(track.channel, track.source + wrinkle, track.stays, 5.0)
    new = worn.renewed(coeffs, 0, KEPT)
    assert np.array_equal(new[KEPT], worn.source[KEPT])
    left = np.linalg.norm(new - track.source, axis=(1, 2)) / np.linalg.norm(wrinkle)
    assert (np.diff(left[10:16]) < 1e-5).all() and left[10] > 0.8 and left[15:25].max() < 1e-5


def test_a_part_that_stays_is_the_file_s():
    half, coeffs = skin(stays=1.0)
    assert half.known.all() and half.region is None and half.renewed(0 * coeffs, 0, KEPT) is not None
    assert np.array_equal(half.renewed(0 * coeffs, 0, KEPT), half.source)


def test_components_of_curves_are_met_and_turns_are_scaled_by_degrees():
    rng = np.random.default_rng(0)
    plain = CurveGroup("x", (Block("plain", tuple("abcd")),))
    components, mean = rng.normal(size=(2, 4)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    coeffs = np.sin(np.arange(COUNT)[:, None] / 7 + np.arange(2)).astype(np.float32)
    channel = Channel("x", "curves", 2, np.ones(2, np.float32), 0.0, group=plain, curve_basis=Pca(components, mean))
    source = coeffs @ components + mean + 0.3
    track = CurvesTrack(channel, source, np.ones(source.shape, bool), np.array([True, True, False, True]), 5.0)
    new = track.renewed(coeffs, 0, KEPT)
    assert np.array_equal(new[KEPT], source[KEPT]) and np.array_equal(new[:, 2], source[:, 2])
    step = np.abs(np.diff(new, axis=0)).max()
    assert step < 3 * np.abs(np.diff(source, axis=0)).max() and track.region.shape == (2, 2)
    head = CurveGroup("head", (Block("rotation", tuple("xyz"), "axis_angle", "radians"),))
    turns = np.tile([0.0, 0.4, 0.0], (COUNT, 1)).astype(np.float32)
    one = CurvesTrack(
        Channel("head", "curves", 6, group=head), turns, np.ones(turns.shape, bool), np.ones(3, bool), 5.0, 0.5
    )
    calm = one.renewed(one.coeffs, 0, KEPT)[:, 1]
    np.testing.assert_allclose(calm[16:24], 0.2, atol=1e-5)
    assert (
        (np.diff(calm[9:15]) < 0).all() and np.abs(np.diff(calm)).max() < 0.08 and (calm[KEPT] == turns[KEPT, 1]).all()
    )


def test_a_file_at_another_rate_meets_the_network_in_time():
    free = np.zeros(120, bool)
    free[40:80] = True
    edit = Edit(free, {60: 60}, None, (), 0)
    times = (np.arange(120) + 0.5) / 60
    for fps in (30.0, 60.0, 25.0, 72.0):
        clock = Clock(120, 60.0, fps)
        own, wave = clock.edit(edit), np.stack([times, np.sin(5 * times)], axis=1)
        there = (np.arange(len(own.free)) + 0.5) / fps
        at = clock.to_network(wave, edit)
        # The line is exact between the middles of the first and the last frame; a key is moved to the nearest frame.
        inside = (there > times[0]) & (there < times[-1]) & ~np.isin(np.arange(len(there)), [*own.keys])
        np.testing.assert_allclose(at[inside, 0], there[inside], atol=1e-6)
        np.testing.assert_allclose(at[[*own.keys], 0], times[60])
        assert not own.free[there < times[39]].any() and own.free[(there > times[40]) & (there < times[79])].all()
        low, high = len(own.free) // 4, 3 * len(own.free) // 4
        frames = clock.file_frames(low, high)
        back = clock.to_file(at[low:high], low, frames)
        assert len(back) == frames.stop - frames.start and times[frames][0] >= there[low] - 1e-9
        np.testing.assert_allclose(back[:, 0], times[frames], atol=0.02)
        assert clock.file_frames(0, len(own.free)) == slice(0, 120)


def test_gaps_that_are_near_are_made_together():
    assert stretches([(0, 5), (20, 30), (35, 40), (400, 401)], 10) == [(0, 5), (20, 40), (400, 401)]
    assert stretches([], 10) == []
