"""Curves with and without a mesh: from preprocessing to a deployed model, in both methods."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.actor import ACTOR, actor
from fakes.curves import BODY, HEAD, SHOTS, curves_dataset, write_curves
from fakes.project import DIFFUSION, NARROW, REGRESSION, use_project, write_configs, write_key

import audio2face
from audio2face.commands import deploy, evaluate, infer, preproc, train
from audio2face.formats.arkit_names import CURVES
from audio2face.formats.curve_table import read_curve_table, write_curve_table
from audio2face.formats.npy import read_npz
from audio2face.models.common.weights import read_weights
from audio2face.problems import UserError
from audio2face.runs.preproc_run import load_preproc_run

PREPROC = {"DEFAULT_TONGUE_PCA_SHAPE": (2, 40, 3), "DEFAULT_EYE_SACCADE_ROT_SHAPE": (20, 2)}
METHODS = {
    "regression": {**REGRESSION, "NUM_EPOCHS": 1, "VALIDATION_CLIPS": ["three_joy"]},
    "diffusion": {**DIFFUSION, "NETWORK_HYPER_PARAMS": NARROW, "VALIDATION_CLIPS": ["three_joy"]},
}


def project(
    root: Path, monkeypatch, method="regression", actors=("ann",), groups=((),), channels=("arkit", "head"), **keys
):
    dataset = curves_dataset([root / "datasets" / name for name in actors], groups)
    write_configs(
        root,
        dataset=dataset,
        preproc=PREPROC,
        train={**METHODS[method], "TARGET_CHANNELS": list(channels), **keys},
        inference={
            "AUDIO_PATH": f"{root}/datasets/{actors[0]}/audio/three_joy.wav",
            "OUTPUT_FORMATS": ["npy"],
            "ACTOR_NAME": actors[0],
        },
    )
    use_project(root, monkeypatch)
    return root / "workspace"


def trained(workspace: Path, actors=("ann",)) -> Path:
    for name in actors:
        preproc.run("tiny", name)
    return workspace / "output_train" / train.run("tiny").run


def preproc_run(workspace: Path):
    return load_preproc_run(sorted((workspace / "output_preproc").iterdir())[-1])


def test_preprocessing_knows_what_the_columns_are(tmp_path, monkeypatch, caplog):
    workspace = project(tmp_path, monkeypatch)
    preproc.run("tiny", "ann")
    run = preproc_run(workspace)
    arkit, head, body = run.curves.channels
    assert (arkit.group.kind, head.group.kind, body.group.kind) == ("weights", "rotation", "skeleton")
    assert arkit.group.names == CURVES and head.group.names == HEAD and body.group.skeleton == BODY
    assert (arkit.size, head.size, body.size) == (52, 6, 15)
    shown = {name: scale for name, scale in zip(arkit.group.names, arkit.scale, strict=True) if scale}
    assert set(shown) == {"jawOpen", "mouthSmileLeft", "mouthSmileRight", "browInnerUp"}
    assert (
        shown["browInnerUp"] >= 0.25 * 0.05 and shown["jawOpen"] > 3 * shown["browInnerUp"]
    )  # a still value is not blown up
    values, known = run.group_values("one_neutral", "head")
    raw = read_curve_table(tmp_path / "datasets/ann/head/one_neutral.npz").values
    np.testing.assert_allclose(head.decode(values), raw, atol=1e-6)
    assert known.all()
    assert "weights" in caplog.text and "skeleton" in caplog.text and "missing" in caplog.text


@pytest.mark.slow
def test_what_is_missing_changes_nothing(tmp_path, monkeypatch):
    """Poison behind a mask, or NaN: the same statistics and the same weights, bit by bit."""
    found = []
    for number, poison in enumerate((0.0, 1e6, np.nan)):
        root = tmp_path / str(number)
        workspace = project(root, monkeypatch, SHOT_EMOTION_NAME_FOR_ALL_ZEROS="neutral")
        path = root / "datasets/ann/arkit/one_neutral.npz"
        table = read_curve_table(path)
        values, valid = table.values.copy(), table.valid.copy()
        values[10:20], valid[10:20] = poison, False
        values[30, 0], valid[30, 0] = poison, False
        np.savez(path, values=values, valid=valid, names=np.array(table.names), fps=30.0)
        head = root / "datasets/ann/head/two_neutral.npz"
        other = read_curve_table(head)
        np.savez(
            head,
            values=np.where(np.arange(len(other.values))[:, None] == 5, poison, other.values),
            names=np.array(HEAD),
            fps=30.0,
        )
        np.save(root / "datasets/ann/head/two_neutral_missing.npy", np.array([5]))
        folder = trained(workspace)
        found.append(
            (read_weights(folder / "weights.pth"), (folder / "metrics.jsonl").read_text(), preproc_run(workspace))
        )
        _, known = preproc_run(workspace).group_values("one_neutral", "arkit")
        assert known[:, 17].sum() == len(known) - 11 and not known[10:20].any()
    for weights, metrics, run in found[1:]:
        assert all(torch.equal(weights[name], x) for name, x in found[0][0].items())
        assert metrics == found[0][1]
        assert np.array_equal(run.curves["arkit"].scale, found[0][2].curves["arkit"].scale)


@pytest.mark.parametrize("method", METHODS)
def test_curves_alone_train_deploy_and_animate(tmp_path, monkeypatch, caplog, method):
    workspace = project(tmp_path, monkeypatch, method, channels=("arkit", "head", "body"))
    run = trained(workspace)
    assert {p.name for p in (run / "previews").iterdir()} == {"epoch_001.mp4", "epoch_001.png"}
    deploy.run("tiny", run.name)
    assert "NVIDIA's runtime cannot show it" in caplog.text
    model = audio2face.load_model(workspace / "output_deploy" / run.name)
    animation = model.animate(tmp_path / "datasets/ann/audio/three_joy.wav")
    assert {name: x.shape[1] for name, x in animation.curves.items()} == {"arkit": 52, "head": 3, "body": 9}
    assert not animation.face.has_mesh and 55 <= len(animation) <= 60
    assert 0 <= animation.curves["arkit"].min() and animation.curves["arkit"].max() <= 1
    still = [name not in ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "browInnerUp") for name in CURVES]
    assert not animation.curves["arkit"][:, still].any()  # never seen, so at rest
    mode = {"regression": "offline_onnx", "diffusion": "streaming_stateless_onnx"}[method]
    rows = []
    for chosen in ({"regression": "offline", "diffusion": "streaming"}[method], mode):
        made = workspace / "output_inference" / infer.run("tiny", run.name, INFERENCE_MODE=chosen)
        rows.append({part: np.load(next(made.glob(f"*_{part}.npy"))) for part in ("arkit", "head", "body")})
    for part, values in rows[0].items():
        np.testing.assert_allclose(values, rows[1][part], atol=2e-4 * max(1, np.abs(values).max()))


def test_a_network_of_whole_animations_has_previews_without_a_mesh(tmp_path, monkeypatch):
    keys = {
        "NETWORK_NAME": "diffusion_transformer",
        "NETWORK_HYPER_PARAMS": {"width": 32, "num_layers": 1, "num_heads": 2},
    }
    run = trained(project(tmp_path, monkeypatch, "diffusion", channels=("head", "body"), **keys))
    assert {p.name for p in (run / "previews").iterdir()} == {"epoch_001.mp4", "epoch_001.png"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.slow
def test_actors_with_other_groups_train_together(tmp_path, monkeypatch, method):
    groups = (("arkit", "head"), ("arkit",))
    workspace = project(tmp_path, monkeypatch, method, ("ann", "bob"), groups, ("arkit", "head"))
    run = trained(workspace, ("ann", "bob"))
    spec = json.loads((run / "network_info_full.json").read_text())
    assert spec["extra"]["absent"].get("bob") and "head" in spec["extra"]["absent"]["bob"]
    for who, expected in (("ann", {"arkit", "head"}), ("bob", {"arkit"})):
        made = workspace / "output_inference" / infer.run("tiny", run.name, ACTOR_NAME=who)
        assert {p.stem.rsplit("_", 1)[1] for p in made.glob("*.npy")} & {"arkit", "head"} == expected
    deploy.run("tiny", run.name)
    model = audio2face.load_model(workspace / "output_deploy" / run.name)
    for who, expected in (("ann", {"arkit", "head"}), ("bob", {"arkit"})):
        assert set(model.animate(tmp_path / "datasets/ann/audio/three_joy.wav", actor=who).curves) == expected


def test_groups_of_other_columns_are_refused(tmp_path, monkeypatch):
    workspace = project(tmp_path, monkeypatch, "regression", ("ann", "bob"), channels=("head",))
    for shot in SHOTS:
        path = tmp_path / f"datasets/bob/head/{shot}.npz"
        table = read_curve_table(path)
        np.savez(path, values=table.values[:, :2], names=np.array(["stretch", "bend"]), fps=30.0)
    with pytest.raises(UserError, match="group 'head' is not the same in ann and bob"):
        trained(workspace, ("ann", "bob"))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_mesh_keeps_its_contract_beside_curves(tmp_path, monkeypatch, method):
    """network.onnx with a group of curves has the names and shapes of the one without."""
    import onnx

    face = actor(tmp_path / "datasets" / ACTOR)
    curves = write_curves(tmp_path / "datasets/curves", ("arkit",))
    for old, new in zip(SHOTS, ("a1_neutral", "a2_neutral", "a3_joy"), strict=True):
        table = read_curve_table(tmp_path / f"datasets/curves/arkit/{old}.npz")
        write_curve_table(tmp_path / f"datasets/curves/arkit/{new}.npz", table)
        (tmp_path / f"datasets/curves/arkit/{old}.npz").unlink()
    skin = {"regression": "skin_coeffs", "diffusion": "skin_pose"}[method]
    clips = [(*row[:2], (0, 39), *row[3:]) for row in face.train["CLIPS"]]
    keys = {**METHODS[method], "CLIPS": clips, "VALIDATION_CLIPS": ["a3_joy"]}
    dataset = {**face.dataset, "CURVES_ROOT": {ACTOR: curves["CURVES_ROOT"]}}
    sound = {"AUDIO_PATH": str(face.sound()), "ACTOR_NAME": ACTOR, "OUTPUT_FORMATS": ["npy"]}
    write_configs(
        tmp_path,
        dataset=dataset,
        preproc=face.preproc,
        train=keys if method == "diffusion" else {**face.train, **keys},
        inference=sound,
    )
    use_project(tmp_path, monkeypatch)
    preproc.run("tiny", ACTOR)
    shapes, runs = [], []
    for channels in ([skin, "jaw", "eye"], [skin, "jaw", "eye", "arkit"]):
        write_key(tmp_path, "train", "TARGET_CHANNELS", channels)
        runs.append(tmp_path / "workspace/output_train" / train.run("tiny").run)
        graph = onnx.load(runs[-1] / "deploy/network.onnx").graph
        shapes.append([(t.name, str(t.type)) for t in (*graph.input, *graph.output)])
    assert shapes[0] == shapes[1]
    assert not (runs[0] / "deploy/network_curves.onnx").exists()
    made = tmp_path / "workspace/output_evaluate" / evaluate.run("tiny", runs[1].name, videos=0)
    report = json.loads((made / "report.json").read_text())  # both are measured
    assert "mean_vertex_error_mm" in report["systems"][runs[1].name]["all"]
    assert "rms_error" in report["curves"]["arkit"]["systems"][runs[1].name]["all"]
    deploy.run("tiny", runs[1].name)
    folder = tmp_path / "workspace/output_deploy" / runs[1].name
    model = audio2face.load_model(folder)
    both = model.animate(face.sound())
    assert both.curves["arkit"].shape[1] == 52 and both.face.has_mesh
    for name in ("network_curves.onnx", "channels.json", f"channels_{ACTOR}.json", "manifest.json"):
        (folder / name).unlink(missing_ok=True)
    alone = audio2face.load_model(folder).animate(face.sound())  # what the runtime would give
    np.testing.assert_allclose(both.skin, alone.skin, atol=1e-4)


@pytest.mark.slow
def test_components_stand_for_a_wide_group(tmp_path, monkeypatch):
    workspace = project(tmp_path, monkeypatch)
    write_key(tmp_path, "preproc", "CURVES_COMPONENTS", {"ann": {"arkit": 2}})
    run = trained(workspace)
    channel = preproc_run(workspace).curves["arkit"]
    assert channel.size == 2 and channel.curve_basis.components.shape == (2, 52)
    values, _ = preproc_run(workspace).group_values("one_neutral", "arkit")
    raw = read_curve_table(tmp_path / "datasets/ann/arkit/one_neutral.npz").column("jawOpen")
    np.testing.assert_allclose(channel.decode(values)[:, CURVES.index("jawOpen")], np.clip(raw, 0, 1), atol=1e-4)
    made = workspace / "output_inference" / infer.run("tiny", run.name)
    assert np.load(next(made.glob("*_arkit.npy"))).shape[1] == 52
    assert set(read_npz(run / "actors/ann/curve_bases.npz")) == {"arkit/components", "arkit/mean"}


WRONG = [
    ({"TARGET_CHANNELS": ["arkitt"]}, "must be one of .*'arkit'.*did you mean arkit"),
    ({"LOSS_CURVES_ALPHA": {"hed": 2.0}}, "LOSS_CURVES_ALPHA/hed"),
]


@pytest.mark.parametrize("keys, message", WRONG)
def test_names_of_groups_are_checked(tmp_path, monkeypatch, keys, message):
    project(tmp_path, monkeypatch, **keys) if "TARGET_CHANNELS" not in keys else project(
        tmp_path, monkeypatch, channels=keys["TARGET_CHANNELS"]
    )
    preproc_error = pytest.raises(UserError, match=message)
    with preproc_error:
        train.run("tiny")
