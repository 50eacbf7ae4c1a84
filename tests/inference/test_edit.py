"""Editing an animation: what stays is copied, what is made anew fits it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from fakes.curves import SHOTS, curves_dataset
from fakes.project import SEQUENCE, sequence_run, use_project, write_configs, write_key

from audio2face.commands import infer, preproc, train
from audio2face.commands.find_run import find_training_run, post_configs, train_section
from audio2face.config import load_config, section_from_values
from audio2face.face.curves import skeleton_group
from audio2face.formats import read_animation
from audio2face.formats.bvh import read_bvh
from audio2face.formats.maya_cache import write_maya_cache
from audio2face.formats.point_cache import write_point_cache
from audio2face.inference.animate import Speaker
from audio2face.inference.edit.parts import changing, region_masks, region_matrix
from audio2face.inference.edit.request import build_edit, frame_range
from audio2face.inference.edit.seams import fade
from audio2face.inference.job import build_job
from audio2face.models.common.rollout import Given
from audio2face.problems import UserError
from audio2face.runs.train_run import load_train_run


def request(num_frames=100, fps=25.0, first=0, **edit):
    return build_edit(section_from_values("inference", {"EDIT": edit}, "diffusion"), num_frames, fps, first)


def test_ranges_are_frames_of_the_scene_or_seconds():
    assert frame_range("1010-1019", 25.0, 1001, 100) == (9, 19)
    assert frame_range(" 5 ", 25.0, 0, 100) == (5, 6)
    assert frame_range("1s - 2.04s", 25.0, 1001, 100) == (25, 51)
    edit = request(regenerate=["10-19", "30"], keys=[15, (2, 17), (3, 50)])
    assert edit.spans() == [(10, 20), (30, 31), (50, 51)]
    assert edit.source[17] == 2 and edit.source[15] == 15 and edit.source[50] == 3
    assert not edit.kept[10] and edit.kept[[15, 17, 50, 60]].all()


@pytest.mark.parametrize(
    "edit, message",
    [
        ({"regenerate": ["90-120"]}, "outside the file, whose frames are 0 to 99"),
        ({"regenerate": ["20-10"]}, "runs backwards"),
        ({"regenerate": ["1.5-3"]}, "frames are whole numbers"),
        ({"regenerate": ["a-b"]}, "is no range"),
        ({"keys": [100]}, "EDIT/keys: frame 100 is outside the file"),
        ({}, "nothing to do"),
    ],
)
def test_ranges_that_cannot_be_are_refused(edit, message):
    with pytest.raises(UserError, match=message):
        request(**edit)


def test_what_is_faded_meets_the_kept_frames_and_dies_away():
    kept = np.ones(40, bool)
    kept[10:30] = False
    residual = np.where(kept, 1.0, 0.0)[:, None] * np.array([1.0, -2.0])
    added = fade(residual, kept, blend=6)
    assert np.array_equal(added[kept], residual[kept]) and not added[17:23].any()
    assert 0.9 < added[10, 0] < 1 and added[10, 1] == -2 * added[10, 0]
    np.testing.assert_allclose(added[10:20], added[29:19:-1])  # the same from both sides
    kept[:] = True
    kept[10:13] = False
    np.testing.assert_allclose(fade(np.ones((40, 1)), kept, blend=50)[10:13], 1.0)  # one goes over into the other
    kept[:] = False
    assert not fade(np.ones((40, 1)), kept, blend=5).any()
    kept[20] = True
    alone = fade(np.ones((40, 1)), kept, blend=4)[:, 0]
    assert alone[20] == 1 and (alone[11:20] > 0).all() and (alone[21:30] > 0).all() and not alone[:10].any()


def test_parts_may_change_or_stay():
    known = ["skin", "mouth", "brows", "eyes", "head", "jawOpen"]
    assert changing(None, ["brows"], known) == {"mouth", "eyes", "head", "jawOpen"}
    assert changing(["skin"], [], known) == {"skin", "mouth", "brows", "eyes"}
    assert changing(["mouth"], [], known) == {"mouth"}
    with pytest.raises(UserError, match="unknown part 'nose'; there are skin"):
        changing(["nose"], [], known)
    with pytest.raises(UserError, match="leave nothing"):
        changing(["mouth"], ["mouth"], known)


def test_a_region_comes_to_where_it_is_kept():
    rng = np.random.default_rng(0)
    y = np.linspace(0, 20, 60)
    neutral = np.stack([rng.normal(size=60), y, rng.normal(size=60)], axis=1)
    close = np.where((np.abs(y - 14) < 1)[:, None], 1.0, 0.0) * np.ones(3)
    masks = region_masks(neutral, close)
    np.testing.assert_allclose(sum(masks.values()), 1.0)
    assert masks["mouth"][0] == 1 and masks["eyes"][np.argmin(np.abs(y - 14))] == pytest.approx(1.0, abs=0.05)
    basis = np.linalg.qr(rng.normal(size=(180, 5)))[0].T.reshape(5, 60, 3)
    x, v = rng.normal(size=(2, 4, 5))
    moved = x + (v - x) @ region_matrix(basis.reshape(5, -1), np.repeat(masks["mouth"], 3))
    at = masks["mouth"] > 0.99
    shape = lambda c: np.einsum("tk,kvc->tvc", c, basis)[:, at]  # noqa: E731
    assert np.abs(shape(moved) - shape(v)).mean() < 0.02 * np.abs(shape(x) - shape(v)).mean()


@pytest.fixture(scope="module")
def mesh_run(tmp_path_factory):
    root = tmp_path_factory.mktemp("edit")
    with pytest.MonkeyPatch.context() as patch:
        yield root, sequence_run(root, patch)


def edited(root, name, **keys):
    keys["EDIT"] = {"film": False, **keys["EDIT"]}
    made = root / "workspace/output_inference" / infer.run("tiny", name, **keys)
    report = json.loads(next(made.glob("*_edit*.json")).read_text())
    return made / report["output"], report


@pytest.mark.parametrize("suffix", [".npy", ".pc2", ".xml"])
def test_kept_frames_of_a_mesh_are_the_file_s_own(mesh_run, monkeypatch, tmp_path, suffix):
    root, name = mesh_run
    use_project(root, monkeypatch)
    frames = np.load(root / "datasets/ann/cache/skin/one_neutral/one_neutral.npy").astype(np.float32)
    frames += np.random.default_rng(0).normal(size=frames.shape[1:]).astype(np.float32) * 0.01  # beyond the basis
    path = tmp_path / f"take{suffix}"
    first = 0
    if suffix == ".npy":
        np.save(path, frames)
    elif suffix == ".pc2":
        write_point_cache(path, frames, 1001)
        first = 1001
    else:
        write_maya_cache(path, frames, 30.0, "headShape", 1001)
        first = 1001
    asked = {
        "file": str(path),
        "regenerate": [f"{first + 20}-{first + 39}"],
        "keys": [first + 30, (first + 5, first + 35)],
    }
    out, report = edited(root, name, EDIT=asked)
    found = read_animation(out)
    assert out.suffix == suffix and int(found.start_frame) == first and report["first_frame"] == first
    new = found.block()
    kept = np.ones(len(frames), bool)
    kept[20:40] = False
    assert np.array_equal(new[kept], frames[kept])
    assert np.array_equal(new[30], frames[30]) and np.array_equal(new[35], frames[5])
    assert not np.array_equal(new[25], frames[25]) and np.isfinite(new).all()
    assert report["regenerated"] == [
        f"{first + 20}-{first + 29}",
        f"{first + 31}-{first + 34}",
        f"{first + 36}-{first + 39}",
    ]
    step = np.abs(np.diff(new, axis=0)).max(axis=(1, 2))
    assert step[[19, 39]].max() < 5 * np.median(np.abs(np.diff(frames, axis=0)).max(axis=(1, 2))) + 0.5  # no pop


def test_nothing_given_is_plain_generation_and_everything_given_is_itself(mesh_run, monkeypatch):
    root, name = mesh_run
    use_project(root, monkeypatch)
    run = find_training_run("tiny", name, train_section("tiny", name))
    section = load_config("tiny", (), optional=("inference",), network_type="diffusion")["inference"]
    job = build_job(section, run, post_configs(section, run))
    animator = job.animator(torch.device("cpu"))
    rollout, inputs = animator.rollout, animator.inputs(animator.load_sound(job.files[0]), Speaker("ann"))
    x_0, own = rollout.restored(inputs, 0, rollout.nothing(inputs.num_frames))
    assert np.array_equal(x_0, own)
    assert np.array_equal(rollout.sampler.rows(x_0, 0), np.concatenate([*rollout(inputs)]))
    values = np.random.default_rng(0).normal(size=x_0.shape).astype(np.float32)
    all_of_it = Given(values, np.ones((len(x_0), len(run.spec.max_sizes)), np.float32), np.ones_like(values))
    assert np.array_equal(rollout.restored(inputs, 0, all_of_it)[0], values)


def test_takes_differ_inside_alone(mesh_run, monkeypatch, tmp_path):
    root, name = mesh_run
    use_project(root, monkeypatch)
    path = root / "datasets/ann/cache/skin/one_neutral/one_neutral.npy"
    made = (
        root
        / "workspace/output_inference"
        / infer.run("tiny", name, NUM_SAMPLES=2, EDIT={"file": str(path), "regenerate": ["0.5s-1s"], "film": False})
    )
    one, two = (np.load(p) for p in sorted(made.glob("*_take?.npy")))
    inside = (one != two).any(axis=(1, 2))
    assert inside[15:30].any() and not inside[:15].any() and not inside[30:].any()


def test_an_edit_that_cannot_be_is_refused(mesh_run, monkeypatch, tmp_path):
    root, name = mesh_run
    use_project(root, monkeypatch)
    np.save(tmp_path / "other.npy", np.zeros((10, 7, 3), np.float32))
    frames = np.load(root / "datasets/ann/cache/skin/one_neutral/one_neutral.npy")
    np.save(tmp_path / "long.npy", np.concatenate([frames] * 3))
    soundfile.write(tmp_path / "short.wav", np.random.default_rng(0).normal(size=16000) * 0.1, 16000)
    for asked, message in (
        ({"file": str(tmp_path / "other.npy"), "regenerate": ["1-2"]}, "another topology"),
        ({"file": str(tmp_path / "none.npy"), "regenerate": ["1-2"]}, "no such file"),
        ({"file": str(tmp_path / "short.wav"), "regenerate": ["1-2"]}, "expected one of .npy"),
        ({"file": str(tmp_path / "long.npy"), "regenerate": ["170-175"]}, "the sound ends at frame"),
        ({"file": str(tmp_path / "long.npy"), "regenerate": ["5-9"], "parts": ["chin"]}, "unknown part 'chin'"),
    ):
        with pytest.raises(UserError, match=message):
            infer.run("tiny", name, EDIT=asked)
    np.save(tmp_path / "moved.npy", 100 * frames)
    with pytest.raises(UserError, match="other units"):
        infer.run("tiny", name, EDIT={"file": str(tmp_path / "moved.npy"), "regenerate": ["5-9"]})
    asked = {"file": str(tmp_path / "long.npy"), "regenerate": ["170-175", "9-5"], "parts": ["chin"]}
    sounds = [str(tmp_path / "short.wav"), str(root / "datasets/ann/audio/one_neutral.wav")]
    before = sorted((root / "workspace").rglob("*"))
    with pytest.raises(UserError) as error:
        infer.run("tiny", name, EDIT=asked, AUDIO_PATH=sounds)
    assert all(what in str(error.value) for what in ("2 sounds", "runs backwards", "unknown part 'chin'"))
    assert sorted((root / "workspace").rglob("*")) == before


def test_what_is_new_gets_the_post_processing_that_the_file_has(mesh_run, monkeypatch, caplog):
    root, name = mesh_run
    use_project(root, monkeypatch)
    strong = {"APPLY_POSTPROCESSING": True, "CONFIG": {"skin_strength": 1.8, "lower_face_smoothing": 0.02}}
    made = root / "workspace/output_inference" / infer.run("tiny", name, OUTPUT_FORMATS=["pc2"], **strong)
    (path,), (raw,) = made.glob("*offline.pc2"), made.glob("*.raw.npz")
    frames, coeffs = read_animation(path).block(), np.load(raw)["skin_coeffs"]
    assert raw.name == f"{path.stem}.raw.npz" and len(coeffs) == len(frames)
    out, _ = edited(root, name, EDIT={"file": str(path), "regenerate": ["20-24"], "keys": [22]}, **strong)
    new, below = read_animation(out).block(), np.load(out.with_name(f"{out.stem}.raw.npz"))["skin_coeffs"]
    stays = np.r_[:20, 22, 25 : len(frames)]
    assert np.array_equal(new[stays], frames[stays]) and np.array_equal(below[stays], coeffs[stays])
    assert (below[[20, 21, 23, 24]] != coeffs[[20, 21, 23, 24]]).any(axis=1).all() and "no " not in caplog.text
    channels = load_train_run(root / "workspace/output_train" / name).actor("ann").codec.channels
    basis = next(channel.basis for channel in channels if channel.name == "skin_coeffs").components.reshape(3, -1)
    made, shown = (below - coeffs)[[20, 21, 23, 24]] @ basis, (new - frames)[[20, 21, 23, 24]].reshape(4, -1)
    assert (
        np.linalg.norm(shown, axis=1) > 1.1 * np.linalg.norm(made, axis=1)
    ).all()  # stronger, as the file's own frames
    assert all(np.corrcoef(a, b)[0, 1] > 0.9 for a, b in zip(made, shown, strict=True))
    raw.unlink()
    out, _ = edited(root, name, EDIT={"file": str(path), "regenerate": ["20-24"]}, **strong)
    assert f"no {raw.name} beside the file" in caplog.text and not list(out.parent.glob("*.raw.npz"))


@pytest.fixture(scope="module")
def curve_run(tmp_path_factory):
    root = tmp_path_factory.mktemp("edit_curves")
    with pytest.MonkeyPatch.context() as patch:
        dataset = curves_dataset([root / "datasets/ann"])
        preprocessing = {"DEFAULT_TONGUE_PCA_SHAPE": (2, 40, 3), "DEFAULT_EYE_SACCADE_ROT_SHAPE": (20, 2)}
        preprocessing["CURVES_COMPONENTS"] = {"ann": {"body": 1}}
        sound = {"AUDIO_PATH": f"{root}/datasets/ann/audio/{SHOTS[0]}.wav"}
        keys = {**SEQUENCE, "TARGET_CHANNELS": ["arkit", "head", "body"]}
        write_configs(root, dataset=dataset, preproc=preprocessing, train=keys, inference=sound)
        write_key(root, "inference", "OUTPUT_FORMATS", ["npy"])
        use_project(root, patch)
        preproc.run("tiny", "ann")
        yield root, train.run("tiny").run


def test_kept_rows_of_a_table_are_the_file_s_own_text(curve_run, monkeypatch, tmp_path):
    root, name = curve_run
    use_project(root, monkeypatch)
    lines = ["time,JawOpen,browInnerUp,comment,HeadYaw,HeadPitch,HeadRoll"]
    lines += [f"{i / 30:.4f},0.{i:02d}0,.25,7,{0.01 * i:.3f},0,-0.00" for i in range(60)]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    out, report = edited(root, name, EDIT={"file": str(tmp_path / "a.csv"), "regenerate": ["20-29"], "keep": ["brows"]})
    new = out.read_text().splitlines()
    assert new[:21] == lines[:21] and new[31:] == lines[31:]
    cells = [line.split(",") for line in new[21:31]]
    assert all(
        c[0] == line.split(",")[0] and c[2:4] == [".25", "7"] for c, line in zip(cells, lines[21:31], strict=True)
    )
    assert any(float(c[1]) != float(line.split(",")[1]) for c, line in zip(cells, lines[21:31], strict=True))
    assert all(0 <= float(c[1]) <= 1 for c in cells) and report["keep"] == ["brows"]


def test_a_body_is_edited_in_its_own_format(curve_run, monkeypatch, tmp_path):
    root, name = curve_run
    use_project(root, monkeypatch)
    path = root / f"datasets/ann/body/{SHOTS[0]}.bvh"
    out, _ = edited(root, name, EDIT={"file": str(path), "regenerate": ["10-20"]})
    (skeleton, before, _), (other, after, _) = read_bvh(path), read_bvh(out)
    assert skeleton == other
    lines, kept = path.read_text().splitlines(), out.read_text().splitlines()
    first = len(lines) - len(before)
    assert kept[: first + 10] == lines[: first + 10] and kept[first + 21 :] == lines[first + 21 :]
    assert not np.allclose(after[10:21], before[10:21])
    assert np.abs(np.diff(after, axis=0)).max() < 3 * np.abs(np.diff(before, axis=0)).max()  # no pop, no whole turns


def test_columns_of_components_may_stay(curve_run, monkeypatch):
    root, name = curve_run
    use_project(root, monkeypatch)
    path = root / f"datasets/ann/body/{SHOTS[0]}.bvh"
    out, _ = edited(root, name, EDIT={"file": str(path), "parts": ["Spine_Xrotation"], "keys": [5]})
    (skeleton, before, _), (_, after, _) = read_bvh(path), read_bvh(out)
    column = [*skeleton_group("body", skeleton).names].index("Spine_Xrotation")
    assert np.array_equal(np.delete(after, column, axis=1), np.delete(before, column, axis=1))
    assert (after[:, column] != before[:, column]).any() and np.array_equal(after[5], before[5])


def test_a_second_run_moves_the_head(mesh_run, curve_run, monkeypatch, tmp_path):
    (root, name), (other, second) = mesh_run, curve_run
    use_project(root, monkeypatch)
    runs = Path("workspace/output_train")
    shutil.copytree(other / runs / second, root / runs / "991231_235959_second")
    made = infer.run("tiny", name, HEAD_RUN="991231_235959_second", OUTPUT_FORMATS=["npz"])
    (path,) = (root / "workspace/output_inference" / made).glob("*.npz")
    found = np.load(path)
    assert {"arkit", "head", "body"} == set(found["groups"]) and len(found["values"]) == len(found["skin"])
    lines = ["HeadYaw,HeadPitch,HeadRoll", *(f"{0.01 * i:.2f},0,0" for i in range(60))]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    asked = {"file": str(tmp_path / "a.csv"), "regenerate": ["20-29"]}
    with pytest.raises(UserError, match="no column of the model's groups"):
        infer.run("tiny", name, EDIT=asked)
    out, report = edited(root, name, EDIT=asked, HEAD_RUN="991231_235959_second")
    new = out.read_text().splitlines()
    assert (
        new[:21] == lines[:21]
        and new[31:] == lines[31:]
        and all(a != b for a, b in zip(new[21:31], lines[21:31], strict=True))
    )
    assert (out.parent / report["curves"]).is_file()
    with pytest.raises(UserError, match="HEAD_RUN 991231_235959_second knows ann, and neither bob|latest|no such"):
        infer.run("tiny", name, HEAD_RUN="latest")


def test_a_recording_at_another_rate_is_edited_at_its_own(curve_run, monkeypatch, tmp_path):
    root, name = curve_run
    use_project(root, monkeypatch)
    lines = ["time,jawOpen", *(f"{i / 60:.5f},{0.4 + 0.2 * np.sin(i / 9):.4f}" for i in range(120))]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    asked = {"file": str(tmp_path / "a.csv"), "regenerate": ["0.8s-1s"], "keys": [53]}
    out, report = edited(root, name, EDIT=asked)
    new, stays = out.read_text().splitlines(), np.r_[:49, 54, 61:121]
    assert report["fps"] == pytest.approx(60, rel=1e-3) and report["regenerated"] == ["48-52", "54-59"]
    assert [new[i] for i in stays] == [lines[i] for i in stays]
    jaw = np.array([float(line.split(",")[1]) for line in new[1:]])
    assert (jaw[48:52] != [float(line.split(",")[1]) for line in lines[49:53]]).all() and np.abs(
        np.diff(jaw)
    ).max() < 0.3
