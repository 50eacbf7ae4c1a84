"""Meshes with skin weights: what an .npz must hold, and the same mesh from a .glb."""

from __future__ import annotations

import numpy as np
import pytest
from fakes.body import body_arrays
from test_figures import body as figure_of_a_body
from test_figures import morphing

from audio2face.formats.body_mesh import ARRAYS, read_body_mesh
from audio2face.formats.gltf import write_gltf


def test_an_npz_is_read_and_written_with_weights_that_sum_to_one(tmp_path) -> None:
    arrays = body_arrays()
    np.savez(tmp_path / "body.npz", **arrays | {"skin_weights": 3 * arrays["skin_weights"], "other": np.zeros(3)})
    mesh = read_body_mesh(tmp_path / "body.npz")
    np.testing.assert_allclose(mesh.weights, arrays["skin_weights"], atol=1e-6)
    assert mesh.names == tuple(arrays["bone_names"]) and set(mesh.as_arrays()) == set(ARRAYS)
    np.savez(tmp_path / "again.npz", **mesh.as_arrays())
    again = read_body_mesh(tmp_path / "again.npz")
    assert all(np.array_equal(x, y) for x, y in zip(mesh.as_arrays().values(), again.as_arrays().values(), strict=True))


@pytest.mark.parametrize(
    "name, wrong, words",
    [
        ("vertices", np.zeros((5, 2)), r"vertices: expected \(n, 3\) numbers, found \(5, 2\)"),
        ("bone_parents", np.array([-1, 2, 0]), "the parent of upper is 2, which is not before it"),
        ("bone_heads", np.zeros((2, 3)), r"bone_heads: expected \(3, 3\) for 3 bone_names, found \(2, 3\)"),
        ("skin_bones", np.full((8, 2), 3), "skin_bones: expected bones 0 to 2"),
        ("skin_weights", np.zeros((8, 2)), "vertex 0 has none"),
        ("skin_weights", np.full((8, 2), -1.0), "some are below 0"),
        ("skin_weights", np.zeros((8, 3)), "expected .8, K. both"),
        ("triangles", np.array([[0, 1, 9]]), "triangles"),
        ("bone_names", None, "bone_names missing"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, name, wrong, words) -> None:
    arrays = body_arrays() | {name: wrong}
    np.savez(tmp_path / "body.npz", **{key: array for key, array in arrays.items() if array is not None})
    with pytest.raises(ValueError, match=words) as found:
        read_body_mesh(tmp_path / "body.npz")
    assert str(tmp_path / "body.npz") in str(found.value)


def test_other_files_are_refused(tmp_path) -> None:
    (tmp_path / "a.fbx").write_bytes(b"")
    with pytest.raises(ValueError, match=r"expected a mesh with skin weights \(.npz, .glb, .gltf\)"):
        read_body_mesh(tmp_path / "a.fbx")
    write_gltf(tmp_path / "plain.glb", [morphing()], 30.0)
    with pytest.raises(ValueError, match="skin"):
        read_body_mesh(tmp_path / "plain.glb")


def test_a_skin_is_read_from_glb_as_it_was_bound(tmp_path) -> None:
    figure, _, _ = figure_of_a_body(shapes=0)
    write_gltf(tmp_path / "a.glb", [], 30.0, figures=[figure])
    mesh = read_body_mesh(tmp_path / "a.glb")
    order = [mesh.names.index(name) for name in figure.skeleton.names]  # parents first, by their depth
    above = [-1 if parent < 0 else order.index(parent) for parent in mesh.parents[order]]
    np.testing.assert_array_equal(above, figure.skeleton.parents)
    np.testing.assert_allclose(mesh.vertices, figure.mesh.rest, atol=1e-4)
    np.testing.assert_allclose(mesh.heads[order], figure.rest, atol=1e-4)
    np.testing.assert_array_equal(mesh.triangles, figure.mesh.triangles)
    dense = np.zeros((2, 12, 4))
    for table, joints, shares in zip(dense, (mesh.bones, figure.joints), (mesh.weights, figure.shares), strict=True):
        np.add.at(table, (np.arange(12)[:, None], joints), shares)
    np.testing.assert_allclose(dense[0][:, order], dense[1], atol=1e-4)
