"""A body with a skin in pictures: upright in any axes, on the ground, beside the figure that stands for the same motion."""

from __future__ import annotations

import numpy as np
import pytest
from fakes.body import arm, body_arrays

from audio2face.face.curves import skeleton_group
from audio2face.face.skeleton import Joint, Skeleton
from audio2face.formats.body_mesh import body_mesh
from audio2face.render.body import body_boxes, body_frames
from audio2face.render.curves_film import curves_take, draw_takes, figure_parts

MESH = body_mesh(body_arrays())
VALUES = np.random.default_rng(0).normal(0, [1] * 3 + [40] * 9, (6, 12))


def z_up(skeleton: Skeleton) -> Skeleton:
    """The same joints with y and z exchanged, which stand along z."""

    def turned(offset):
        return (0.0, -offset[1], offset[0])  # x, along which the arm reaches, becomes up

    return Skeleton(
        tuple(Joint(j.name, j.parent, turned(j.offset), j.channels, j.end and turned(j.end)) for j in skeleton.joints)
    )


def test_what_is_drawn_is_the_skin_where_the_bones_are() -> None:
    parts = figure_parts(arm(), VALUES, MESH)
    assert parts["body"].scale == pytest.approx(1) and parts["turns"].shape == (6, 3, 3, 3)
    skin = np.stack([parts["body"].posed(t, j) for t, j in zip(parts["turns"], parts["joints"], strict=True)])
    middle = skin[:, :4].mean(axis=1)  # a quarter along the second bone, a quarter of whose turn is the first's
    along = np.linalg.norm(middle - parts["joints"][:, 1], axis=1)
    assert (along < 0.2501).all() and (along > 0.1).all()
    boxes = body_boxes(parts["body"], parts["turns"], parts["joints"])
    np.testing.assert_allclose(boxes[..., 1].min(), skin[..., 1].min(), atol=1e-5)
    meshes, (moving, floor) = body_frames(parts["body"], parts["turns"], parts["joints"])
    np.testing.assert_allclose(moving[3], skin[3], atol=1e-6)
    assert floor[:, 1].max() == pytest.approx(skin[..., 1].min(), abs=1e-5) and len(meshes) == 2


def test_a_skeleton_with_z_up_stands_upright() -> None:
    parts = figure_parts(z_up(arm()), np.zeros((1, 12)), MESH)
    skin = parts["body"].posed(parts["turns"][0], parts["joints"][0])
    assert skin[4:, 1].min() > 2.4 and np.abs(skin[:, [0, 2]]).max() < 0.2


def test_the_mesh_is_drawn_where_its_bones_match_and_else_the_figure() -> None:
    groups = {"body": skeleton_group("body", arm())}
    take = curves_take(groups, {"body": VALUES}, "mine", MESH)
    pictures = [list(draw_takes([one], (64, 64))) for one in (take, curves_take(groups, {"body": VALUES}))]
    assert take.body is not None and len(pictures[0]) == 6
    assert np.abs(pictures[0][0][-60:].astype(int) - pictures[1][0][-60:]).max() > 50
    other = body_mesh(body_arrays(prefix="other_"))
    assert curves_take(groups, {"body": VALUES}, None, other).body is None
    cut = take.part(slice(2, 4))
    assert len(cut) == 2 and len(cut.turns) == 2
    np.testing.assert_array_equal(next(draw_takes([take.part(slice(0, 6))], (64, 64))), pictures[0][0])
