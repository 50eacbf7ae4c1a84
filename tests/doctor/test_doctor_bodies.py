"""Faults of bodies are found where they were put, and nothing in a person who stands, sways and steps."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from audio2face.dataset.curve_checks import check_table
from audio2face.dataset.curve_kinds import guess_blocks
from audio2face.dataset.curves import CapturedGroup, ShotCurves
from audio2face.doctor.bodies import check_bodies, height
from audio2face.face.curves import CurveGroup, skeleton_group
from audio2face.face.skeleton import Joint, Skeleton
from audio2face.formats.curve_table import curve_table
from audio2face.problems import Problems

FPS, COUNT = 30.0, 240
TURN = ("Zrotation", "Xrotation", "Yrotation")
PERSON = Skeleton(
    (
        Joint("Hips", -1, (0.0, 90.0, 0.0), ("Xposition", "Yposition", "Zposition", *TURN)),
        Joint("Spine", 0, (0.0, 30.0, 0.0), TURN),
        Joint("Head", 1, (0.0, 35.0, 0.0), TURN, (0.0, 20.0, 0.0)),
        Joint("LeftUpLeg", 0, (10.0, 0.0, 0.0), TURN),
        Joint("LeftFoot", 3, (0.0, -88.0, 0.0), TURN, (0.0, 0.0, 15.0)),
        Joint("RightUpLeg", 0, (-10.0, 0.0, 0.0), TURN),
        Joint("RightFoot", 5, (0.0, -88.0, 0.0), TURN, (0.0, 0.0, 15.0)),
    )
)
PLACES = {joint.name: 6 + 3 * (place - 1) if place else 3 for place, joint in enumerate(PERSON.joints)}


def standing(seed: int = 0) -> np.ndarray:
    """Values (COUNT, 24) of somebody who sways from the hips up and steps to the side once, lifting each foot."""
    rng, times = np.random.default_rng(seed), np.arange(COUNT) / FPS
    values = np.zeros((COUNT, PERSON.num_channels))
    values[:, 1] = 90.0
    for joint in ("Spine", "Head"):
        place = PLACES[joint]
        values[:, place : place + 3] = 15 * np.sin(times[:, None] * rng.uniform(1, 6, 3) + rng.uniform(0, 6, 3))
    step = np.clip((times - 4) / 0.6, 0, 1)  # both legs swing at once: a hop
    values[:, 0] = 30 * step
    values[:, 1] += 12 * np.sin(np.pi * step)
    return values


def found(*shots: np.ndarray, skeleton: Skeleton = PERSON, known: np.ndarray | None = None) -> dict[str, str]:
    group = skeleton_group("body", skeleton)
    curves = {}
    for number, values in enumerate(shots):
        there = np.ones(values.shape, bool) if known is None else np.repeat(known[:, None], values.shape[1], axis=1)
        curves[f"s{number}"] = ShotCurves(*group.encode(values.astype(np.float32), there))
    report = Problems("ann")
    check_bodies(report, SimpleNamespace(curves={"body": CapturedGroup(group, curves)}, fps=FPS))
    return {problem.rule: str(problem) for problem in report}


def scaled(factor: float) -> Skeleton:
    return Skeleton(
        tuple(Joint(j.name, j.parent, tuple(factor * x for x in j.offset), j.channels, j.end) for j in PERSON.joints)
    )


@pytest.mark.parametrize("unit", [1.0, 0.01, 10.0, 1 / 2.54], ids=["cm", "m", "mm", "in"])
def test_a_person_in_any_unit_is_right(unit: float) -> None:
    for seed in range(5):
        values = standing(seed)
        values[:, :3] *= unit
        assert found(values, skeleton=scaled(unit)) == {}


def test_a_person_with_z_up_is_right() -> None:
    turned = [
        Joint(j.name, j.parent, (j.offset[0], -j.offset[2], j.offset[1]), j.channels, j.end) for j in PERSON.joints
    ]
    values = standing()
    values[:, :3] = values[:, [0, 2, 1]] * [1, -1, 1]
    values[:, 3:] = 0
    assert found(values, skeleton=Skeleton(tuple(turned))) == {}


def test_feet_that_slide_or_sink() -> None:
    drifting = standing()
    drifting[:, 0] += 40 * np.sin(np.arange(COUNT) / 15)
    assert (
        list(found(drifting)) == ["body.sliding"]
        and "of the time in which they touch" in found(drifting)["body.sliding"]
    )
    sunk = standing()
    sunk[100:110, 1] -= 20
    told = found(standing(1), standing(2), sunk)
    assert list(told) == ["body.ground"] and "20 units below the ground, in frame 100, 101" in told["body.ground"]
    assert "s2" in told["body.ground"]
    low = standing(3)
    low[:, 1] -= 15
    told = found(standing(1), standing(2), low)
    assert list(told) == ["body.ground"] and "s2" in told["body.ground"] and "up to 15 units" in told["body.ground"]
    known = np.ones(COUNT, bool)
    known[99:111] = False
    assert found(standing(1), standing(2), sunk, known=known) == {}


def test_roots_and_joints_that_jump() -> None:
    cut = standing()
    cut[150:, 2] += 60
    told = found(cut)
    assert "the root jumps in frame 150, by up to 0.39 heights" in told["body.jump"]
    flipped = standing()
    flipped[77, PLACES["Head"]] += 179
    told = found(flipped)
    assert (
        list(told) == ["body.turn"] and "Head turns by" in told["body.turn"] and "in frame 77, 78" in told["body.turn"]
    )
    round_and_round = standing()
    round_and_round[:, PLACES["Hips"] + 2] = (
        np.arange(COUNT) * 4 + 180
    ) % 360 - 180  # the angle jumps, the turn does not
    assert "body.turn" not in found(round_and_round)


def test_units_that_do_not_fit() -> None:
    values = standing()
    values[:, :3] *= 100
    assert "the root moves 20 times the skeleton's height away" in found(values)["body.unit"]
    assert "a person in none of metres" in found(standing() * 0.1, skeleton=scaled(0.1))["body.unit"]
    assert height(PERSON) == pytest.approx(153)


def test_angles_whose_columns_name_their_unit_may_turn_on() -> None:
    names = ("root_rotation_x_rad", "root_rotation_y_rad", "root_rotation_z_rad")
    values = np.stack([np.linspace(0, 9, 200)] * 3, axis=1)
    problems = Problems("ann")
    check_table(problems, CurveGroup("body", guess_blocks(names, values)), "s", curve_table(names, values, FPS))
    assert not list(problems)
