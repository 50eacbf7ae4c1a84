"""Manifests: what is compared when, what may change, and that a cut of the power leaves a run that is whole or none."""

import json
import os
import random

import numpy as np
import pytest
from fakes import run as fake_run
from fakes.power import Recorder, after_cut, complete_runs, read_tree, states, write_tree

from audio2face import paths
from audio2face.formats.json_file import write_json
from audio2face.formats.npy import write_npy
from audio2face.models import family
from audio2face.models.common.weights import load_weights, save_weights
from audio2face.paths import atomic, exchange, replace_folder
from audio2face.problems import UserError
from audio2face.runs import manifest
from audio2face.runs.manifest import MANIFEST_FILE, check_file, faults, size_faults, write_manifest
from audio2face.runs.run_dir import is_complete, new_run, resolve_run, resume_run, writing_run
from audio2face.runs.train_run import load_train_run


@pytest.fixture
def folder(tmp_path):
    run = tmp_path / "run"
    (run / "arrays/deep").mkdir(parents=True)
    (run / "weights.pth").write_bytes(b"w" * 100)
    (run / "arrays/deep/a.npy").write_bytes(b"a" * 50)
    for name in ("log.log", "README.md", "model_config_ada.json", "events.out.tfevents.1", ".stopped", "network.trt"):
        (run / name).write_text("living")
    (run / "checkpoints").mkdir()
    (run / "checkpoints/step_1.pt").write_text("pruned later")
    write_manifest(run)
    return run


def test_names_size_and_digest_of_what_stays(folder):
    content = json.loads((folder / MANIFEST_FILE).read_text())
    digest = __import__("hashlib").sha256(b"w" * 100).hexdigest()
    assert set(content["files"]) == {"weights.pth", "arrays/deep/a.npy"} and content["files"]["weights.pth"] == [
        100,
        digest,
    ]
    assert size_faults(folder) == faults(folder) == []


def test_what_may_change_makes_no_alarm(folder):
    with (folder / "log.log").open("a") as file:
        file.write("more")
    (folder / "README.md").write_text("my notes")
    (folder / "network.trt").write_bytes(b"built on the target machine")
    (folder / "model_config_ada.json").write_text("{}")
    (folder / "checkpoints/step_1.pt").unlink()
    (folder / "notes.txt").write_text("of a user")
    os.remove(folder / "events.out.tfevents.1")
    assert faults(folder) == []


def test_a_missing_cut_or_flipped_file_is_a_line(folder):
    (folder / "arrays/deep/a.npy").write_bytes(b"a" * 49 + b"b")
    assert size_faults(folder) == []
    [line] = faults(folder)
    assert line == "arrays/deep/a.npy was changed: its content is not what was written"
    with pytest.raises(ValueError, match="a.npy was changed"):
        check_file(folder / "arrays/deep/a.npy")
    check_file(folder / "weights.pth")
    check_file(folder / "README.md")
    (folder / "arrays/deep/a.npy").write_bytes(b"a" * 20)
    (folder / "weights.pth").unlink()
    assert size_faults(folder) == [
        "arrays/deep/a.npy was changed: it has 20 bytes, 50 were written",
        "weights.pth is missing",
    ]


def test_a_file_is_read_for_its_digest_once(folder, monkeypatch):
    check_file(folder / "weights.pth")
    opened = []
    monkeypatch.setattr(manifest, "open", lambda *a: opened.append(a) or open(*a), raising=False)
    check_file(folder / "weights.pth")
    assert not opened
    os.utime(folder / "weights.pth")
    check_file(folder / "weights.pth")
    assert len(opened) == 1


@pytest.mark.parametrize(
    "content",
    [
        "{", "", "\0" * 300, '{"version": 2, "parts": [], "files": {}}', '{"version": 1, "parts": ["."], "files": {}}',
        '{"version": 1, "parts": [], "files": {"../secret": [1, "x"]}}', '{"version": 1, "parts": [], "files": {"/etc/x": [1, "x"]}}',
        '{"version": 1, "parts": [], "files": {"a": 3}}', '{"version": 1, "parts": 3, "files": {}}',
    ],
)  # fmt: skip
def test_a_damaged_manifest_is_a_line(folder, content):
    (folder / MANIFEST_FILE).write_text(content)
    for found in (size_faults(folder), faults(folder)):
        assert len(found) == 1 and "manifest.json is damaged" in found[0]


def test_another_programs_manifest_is_not_ours(folder):
    (folder / MANIFEST_FILE).write_text('{"name": "a web page", "icons": []}')
    assert faults(folder) == []


def test_exported_networks_are_a_part_with_a_manifest_of_its_own(folder):
    (folder / "deploy").mkdir()
    (folder / "deploy/network.onnx").write_bytes(b"1")
    write_manifest(folder / "deploy")
    write_manifest(folder)
    assert "deploy/network.onnx" not in json.loads((folder / MANIFEST_FILE).read_text())["files"]
    new = folder / ".deploy.new"
    new.mkdir()
    (new / "network.onnx").write_bytes(b"another")
    write_manifest(new)
    replace_folder(new, folder / "deploy")
    assert faults(folder) == [] and not new.exists()
    (folder / "deploy/network.onnx").write_bytes(b"damaged")
    assert faults(folder) == ["deploy/network.onnx was changed: its content is not what was written"]
    (folder / "deploy" / MANIFEST_FILE).unlink()
    assert size_faults(folder) == ["deploy/manifest.json is missing"]


# ---- training runs


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return fake_run.make_train_run(tmp_path_factory.mktemp("trained")).path


@pytest.fixture
def train_run(trained, tmp_path):
    import shutil

    path = tmp_path / trained.name
    shutil.copytree(trained, path)
    write_manifest(path / "deploy")
    write_manifest(path)
    return path


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def deploy(path, target):
    from audio2face.deploy.package import write_model

    config = {"input_strength": 1.0, "source_shot": None, "source_frame": None}
    write_model(target, load_train_run(path), {"ada": config}, family("regression").package)


@pytest.mark.parametrize(
    "name",
    ["deploy/network.onnx", "deploy/implicit_emo_db.npz", "actors/ada/mean_geometry.npy", "actors/ada/network_data.npz",
     "actors/ada/bs_skin_ada.npz", "network_info_full.json", "deploy/trt_info.json"],
)  # fmt: skip
def test_a_flipped_bit_is_not_deployed(train_run, tmp_path, name):
    deploy(train_run, tmp_path / "before")
    flip(train_run / name)
    with pytest.raises(UserError, match=f"{name.rpartition('/')[2]} was changed.*train again"):
        deploy(train_run, tmp_path / "after")
    assert not (tmp_path / "after").exists()


def test_weights_are_those_that_were_written_or_at_least_finite(train_run):
    network = fake_run.make_network(fake_run.make_spec())
    load_weights(network, train_run / "weights.pth")
    flip(train_run / "weights.pth")
    with pytest.raises(ValueError, match=r"weights\.pth was changed"):
        load_weights(network, train_run / "weights.pth")
    network.mix[0].weight.data[0, 0] = float("inf")
    save_weights(train_run / "weights.pth", network)
    (train_run / MANIFEST_FILE).unlink()  # an older run
    assert load_train_run(train_run).spec.actors == ["ada"]
    with pytest.raises(ValueError, match=r"mix\.0\.weight holds values that are not finite"):
        load_weights(network, train_run / "weights.pth")


def test_a_run_that_lacks_a_file_is_not_opened(train_run):
    (train_run / "actors/ada/triangles.npz").unlink(missing_ok=True)
    (train_run / "actors/ada/bs_tongue_ada.npz").unlink()
    with pytest.raises(
        UserError, match=f"training run .*{train_run.name}: actors/ada/bs_tongue_ada.npz is missing; copy it again"
    ):
        load_train_run(train_run)


def test_a_run_that_goes_on_has_no_manifest(train_run):
    resume_run(train_run)
    assert not list(train_run.rglob(MANIFEST_FILE)) and not is_complete(train_run)


# ---- cuts of the power


def write_run(root):
    with writing_run(root, "default", "work") as folder:
        write_json(folder / "configs/info.json", {"a": [1.5] * 30})
        write_npy(folder / "a.npy", np.arange(1000.0))
        (folder / "deep/er").mkdir(parents=True)
        (folder / "deep/er/plain.txt").write_text("not written with care" * 20)
        (folder / "log.log").write_text("x")


def broken_states(moments, allowed):
    found = list(states(moments))
    return len(found), [where for where, tree in found if complete_runs(tree) not in allowed]


def test_a_run_is_whole_or_not_there_wherever_the_power_is_cut(tmp_path):
    root = tmp_path / "runs"
    write_run(root)
    before = complete_runs(read_tree(root))
    with Recorder(root).recording() as recorder:
        write_run(root)
    after = complete_runs(read_tree(root))
    assert len(before) == 1 and len(after) == 2
    count, broken = broken_states(recorder.moments, (before, after))
    assert not broken and len(recorder.moments) > 25 and count > 30
    newest = after_cut(recorder.moments[-1], "synced", "lost", random.Random(0))
    assert complete_runs(newest) == after, "what a command has said to be done is on the disk"


def test_the_recorder_sees_what_is_not_synced(tmp_path, monkeypatch):
    """Without fsync the same cuts leave half runs: the test above can fail."""
    for name in ("sync", "sync_tree"):
        for module in (paths, manifest, __import__("audio2face.runs.run_dir", fromlist=["x"])):
            monkeypatch.setattr(module, name, lambda _: None, raising=False)
    root = tmp_path / "runs"
    root.mkdir()
    with Recorder(root).recording() as recorder:
        write_run(root)
    _, broken = broken_states(recorder.moments, ({}, complete_runs(read_tree(root))))
    assert any("contents lost" in where for where in broken) and any("contents zeros" in where for where in broken)


@pytest.mark.parametrize("in_one_step", [True, False])
def test_a_folder_is_replaced_or_as_it_was(tmp_path, monkeypatch, in_one_step):
    if not in_one_step:
        monkeypatch.setattr(paths, "exchange", lambda *_: False)
    root = tmp_path / "root"
    for name, text in (("model", "old"), (".model.new", "new")):
        (root / name).mkdir(parents=True)
        (root / name / "x").write_text(text)
    if in_one_step and not exchange(root / "model", root / ".model.new"):
        pytest.skip("this disk has no exchange")
    elif in_one_step:
        assert (root / "model/x").read_text() == "new" and exchange(root / "model", root / ".model.new")
    with Recorder(root).recording() as recorder:
        replace_folder(root / ".model.new", root / "model")
    assert [p.name for p in root.iterdir()] == ["model"] and (root / "model/x").read_text() == "new"
    for count, (where, tree) in enumerate(states(recorder.moments)):
        place = tmp_path / f"state{count}"
        write_tree(place, tree)
        if not in_one_step:
            paths.repair_folder(place / "model")
        assert (place / "model/x").read_text() in ("old", "new"), where


def test_a_file_is_replaced_or_as_it_was(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "x.json").write_text("old")
    with Recorder(root).recording() as recorder, atomic(root / "x.json") as temporary:
        temporary.write_text("new" * 1000)
    for where, tree in states(recorder.moments):
        assert tree["x.json"] in (b"old", b"new" * 1000), where
    assert after_cut(recorder.moments[-1], "synced", "lost", random.Random(0)) == {"x.json": b"new" * 1000}


def test_a_finished_run_whose_name_got_lost_is_named(tmp_path, monkeypatch):
    write_run(tmp_path)
    [run] = tmp_path.iterdir()
    run.rename(run.with_name(f".{run.name}.partial"))
    monkeypatch.setattr("audio2face.runs.run_dir.SWEEP_AGE_S", -1.0)
    new_run(tmp_path, "other")
    assert resolve_run(tmp_path, "latest", what="test") == run and faults(run) == []
