"""Files from strangers: nothing outside their folder is read, nothing is run, and no lie about a size is believed.

It stands with the commands since models, runs and data sets all come from strangers, whichever room reads them.
"""

import ast
import os
import pickle
import re
import resource
from pathlib import Path

import numpy as np
import onnx
import pytest
from fakes import model as fake_model
from onnx.external_data_helper import set_external_data

from audio2face.formats.json_file import read_json, write_json
from audio2face.formats.npy import read_npy, read_npz
from audio2face.inference import load_model
from audio2face.problems import UserError
from audio2face.runs.checkpoints import load_checkpoint, save_durably
from audio2face.runs.train_run import load_train_run

ROOT = Path(__file__).resolve().parents[2]
HUGE = 10**12
MAY_BE_ZERO = ("buffer_ofs", "padding_left", "padding_right")
PYTHON = [ROOT / "audio2face/config/source.py"]  # configs are Python, written by the user
MOST_BYTES = 3 << 30  # more than anything here may ask for


@pytest.fixture(autouse=True)
def little_memory():
    """A process that asks for the room that a lie promises fails."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(params=["regression", "diffusion"])
def model(request, tmp_path):
    make = fake_model.regression_model if request.param == "regression" else fake_model.diffusion_model
    return make(tmp_path / "home" / request.param)


def refused(folder: Path, words: str) -> None:
    with pytest.raises(UserError) as error:
        load_model(folder)
    assert words in str(error.value), error.value


def every_path(folder: Path) -> list[tuple]:
    """The keys of all file names in model.json but the engine's."""

    def walk(value, keys):
        if isinstance(value, str):
            yield keys
        for key, inner in (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        ):
            yield from walk(inner, (*keys, key))

    return [keys for keys in walk(fake_model.load_json(folder / "model.json"), ()) if keys != ("networkPath",)]


@pytest.mark.parametrize("how", ["above", "absolute", "link", "folder link"])
def test_no_file_outside_the_folder_is_read(model, how, tmp_path, monkeypatch):
    opened = []
    plain = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *a, **k: opened.append(path.resolve()) or plain(path, *a, **k))
    for keys in every_path(model):
        name = fake_model.load_json(model / "model.json")
        for key in keys:
            name = name[key]
        secret = tmp_path / "secret" / name
        secret.parent.mkdir(exist_ok=True)
        secret.write_bytes((model / name).read_bytes())
        text, own = (model / "model.json").read_text(), (model / name).read_bytes()
        if how == "link":
            (model / name).unlink()
            (model / name).symlink_to(secret)
        elif how == "folder link":
            (model / "inside").symlink_to(secret.parent)
            fake_model.edit_json(model / "model.json", *keys, value=f"inside/{name}")
        else:
            value = str(secret) if how == "absolute" else os.path.relpath(secret, model)
            fake_model.edit_json(model / "model.json", *keys, value=value)
        opened.clear()
        refused(model, "outside the model's folder")
        assert not [path for path in opened if path.is_relative_to(secret.parent)]
        (model / "inside").unlink(missing_ok=True)
        (model / name).unlink()
        (model / name).write_bytes(own)
        (model / "model.json").write_text(text)
    load_model(model)


@pytest.mark.parametrize(
    "value", [None, 3, [], {}, "", "\0", "a" * 5000, "/dev/zero", "/proc/self/mem", ".", "model.json"]
)
def test_odd_file_names(model, value):
    key = "modelDataPath" if "regression" in model.name else "modelDataPaths"
    fake_model.edit_json(model / "model.json", key, value=value if key == "modelDataPath" else [value])
    refused(model, "not a valid model")


@pytest.mark.parametrize("value", [-1, 0, HUGE, 1.5, "9", None, [1], True])
@pytest.mark.parametrize("part", ["params", "audio_params"])
def test_numbers_that_lie(model, part, value):
    info = fake_model.load_json(model / "network_info.json")
    for key, number in info[part].items():
        if isinstance(number, int) and number != value and (value != 0 or key not in MAY_BE_ZERO):
            write_json(model / "network_info.json", {**info, part: {**info[part], key: value}})
            refused(model, "not a valid model")


def test_an_actor_is_no_path(model):
    keys = ("id", "actor") if "regression" in model.name else ("params", "identities")
    value = "../../secret" if "regression" in model.name else ["../../secret"]
    (model.parent.parent / "secret.npz").write_bytes(b"not to be read")
    fake_model.edit_json(model / "network_info.json", *keys, value=value)
    try:
        assert load_model(model).actors == ("../../secret",)  # a name like another: no file is called by it
    except UserError as error:
        assert "valid model" in str(error)


def with_weights_in(folder: Path, location: str, file: Path) -> None:
    """Write the largest weights of a model's network to `file`, and name them in the network as `location`."""
    network = onnx.load(folder / "network.onnx")
    tensors = [t for t in network.graph.initializer] + [
        a.t for node in network.graph.node for a in node.attribute if a.HasField("t")
    ]
    tensor = max(tensors, key=lambda t: len(t.raw_data) or len(t.float_data) * 4)
    content = onnx.numpy_helper.to_array(tensor).tobytes()
    file.write_bytes(content)
    tensor.ClearField("float_data")
    tensor.ClearField("int64_data")
    tensor.raw_data = content
    set_external_data(tensor, location=location, offset=0, length=len(content))
    tensor.ClearField("raw_data")
    (folder / "network.onnx").write_bytes(network.SerializeToString())


def test_weights_of_the_network_stay_inside(tmp_path):
    folder = fake_model.regression_model(tmp_path / "home/m")
    with_weights_in(folder, "../../secret.bin", tmp_path / "secret.bin")
    refused(folder, "onnxruntime cannot load it")


def test_weights_with_a_second_name_are_read_or_refused_in_a_line(tmp_path):
    folder = fake_model.regression_model(tmp_path / "m")
    with_weights_in(folder, "w.bin", folder / "w.bin")
    (tmp_path / "second.bin").hardlink_to(folder / "w.bin")
    assert load_model(folder).actors == ("a",)
    with pytest.raises(UserError, match="network.onnx: quantize='int8' cannot read it: .*hard link") as error:
        load_model(folder, quantize="int8")
    assert len(error.value.lines) == 1


# ---- arrays


def header(shape, dtype="<f4"):
    text = str({"descr": dtype, "fortran_order": False, "shape": shape}) + "\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize("shape", [(HUGE,), (2**32, 2**32), (2**31, 2**31, 4), (-1,), (-1, -1), (-4, -4), (0, HUGE)])
def test_a_header_that_lies(tmp_path, shape):
    content = header(shape) + bytes(64)
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(ValueError, match="x.npy"):
        read_npy(tmp_path / "x.npy")
    fake_model.write_zip(tmp_path / "x.npz", [("a.npy", content)])
    with pytest.raises(ValueError, match=r"x.npz.*'a"):
        read_npz(tmp_path / "x.npz")


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("audio2face.formats.budget.FREE_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(1 << 23, np.float32))
    with pytest.raises(ValueError, match=r"x.npz: .* would unpack to 33554560 bytes of arrays, which"):
        read_npz(tmp_path / "x.npz")
    np.savez_compressed(tmp_path / "x.npz", a=np.tile(np.random.default_rng(0).normal(size=1 << 10), 1 << 7))
    assert len(read_npz(tmp_path / "x.npz")["a"]) == 1 << 17


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    objects = np.array([Bomb()], dtype=object)
    np.save("x.npy", objects)
    np.savez("x.npz", a=objects)
    (tmp_path / "raw.npz").write_bytes(pickle.dumps(Bomb()))
    for read, name in ((read_npy, "x.npy"), (read_npz, "x.npz"), (read_npz, "raw.npz"), (read_npy, "raw.npz")):
        with pytest.raises(ValueError, match=name):
            read(tmp_path / name)
    save_durably(tmp_path / "checkpoints/step_00000001.pt", {"step": 1})
    save_durably(tmp_path / "checkpoints/step_00000002.pt", {"step": Bomb()})
    assert load_checkpoint(tmp_path) == {"step": 1}
    assert not (tmp_path / "exploded").exists()


# ---- text


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "9" * 100_000, "\udcff", "", "{", "[1,]", "\ufeff"])
def test_json_that_no_one_writes(tmp_path, text):
    (tmp_path / "x.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match="x.json"):
        read_json(tmp_path / "x.json")


@pytest.mark.parametrize("actors", [["../ada"], ["/etc"], [3], "ada", ["a/b"], [".."]])
def test_actors_of_a_training_run_are_names(tmp_path, actors):
    from fakes import run as fake_run

    run = fake_run.make_train_run(tmp_path)
    values = read_json(run.path / "network_info_full.json")
    write_json(run.path / "network_info_full.json", {**values, "actors": actors})
    with pytest.raises(UserError, match="not names"):
        load_train_run(run.path)


# ---- the code itself


def calls(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}, ast.unparse(node)


@pytest.mark.parametrize("folder", ["audio2face", "runners", "tools"])
def test_no_code_unpickles_runs_a_shell_or_guesses_a_download(folder):
    for path in (ROOT / folder).rglob("*.py"):
        for name, keywords, text in calls(path):
            where = f"{path}: {text[:80]}"
            assert not re.fullmatch(r"(pickle|dill|joblib|marshal|shelve|yaml)\.\w*(load|open)\w*", name), where
            assert name not in ("os.system", "os.popen", "eval", "exec", "subprocess.getoutput") or path in PYTHON, (
                where
            )
            assert keywords.get("shell", "False") == "False", where
            if name == "torch.load":
                assert keywords.get("weights_only") == "True", where
            if name.endswith("np.load"):
                assert keywords.get("allow_pickle", "False") == "False", where
            if name.endswith("from_pretrained"):
                assert keywords.get("trust_remote_code", "False") == "False", where
