"""Training runs and implicit emotion data bases: what is written is what is read."""

import json
import zipfile

import numpy as np
import pytest
from fakes import run as fake_run

from audio2face.face.topology import Topology
from audio2face.problems import UserError
from audio2face.runs.emotion_db import EmotionDB, actor_databases, compact, read_emotion_db, write_emotion_db
from audio2face.runs.train_run import load_train_run, write_train_run


def numbered(rows: int, length: int = 3) -> np.ndarray:
    return np.arange(rows, dtype=np.float32)[:, None].repeat(length, axis=1)


def test_emotion_db_round_trip_and_types_on_disk(tmp_path):
    database = EmotionDB(numbered(7), {"hélène_01": (0, 4), "b": (4, 3)})
    path = tmp_path / "implicit_emo_db.npz"
    write_emotion_db(path, database)
    with np.load(path, allow_pickle=False) as archive:
        assert archive["emo_db"].dtype == np.dtype("<f4") and archive["emo_spec_names"].dtype.kind == "S"
        assert archive["emo_spec_start"].dtype == archive["emo_spec_size"].dtype == np.dtype("<i4")
        assert archive["emo_spec_names"][0].decode("utf-8") == "hélène_01"
    assert all(entry.compress_type == zipfile.ZIP_STORED for entry in zipfile.ZipFile(path).infolist())
    again = read_emotion_db(path)
    assert again.spans == database.spans
    np.testing.assert_array_equal(again.vectors, database.vectors)


def test_emotion_db_is_written_in_order_of_start(tmp_path):
    write_emotion_db(tmp_path / "a.npz", EmotionDB(numbered(7), {"late": (4, 3), "early": (0, 4)}))
    assert list(read_emotion_db(tmp_path / "a.npz").spans) == ["early", "late"]


def test_emotion_db_rows_and_defaults():
    database = EmotionDB(numbered(7), {"a": (0, 4), "b": (4, 3)})
    assert database.row("b", 2)[0] == 6
    assert database.row("b", None)[0] == 4
    assert database.row(None, None)[0] == 0
    assert database.row("mean", None)[0] == 3
    assert database.with_mean().row("mean", 0)[0] == 3
    for shot, frame, words in (
        ("c", 0, "'c' is not a shot"),
        ("b", 3, "frames 0 to 2"),
        (None, 3, "set both"),
        ("a", -1, "frames"),
    ):
        with pytest.raises(UserError, match=words):
            database.locate(shot, frame)


def test_emotion_db_rejects_spans_outside_the_rows():
    with pytest.raises(ValueError, match="shot a"):
        EmotionDB(numbered(3), {"a": (1, 3)})


def test_emotion_db_refuses_nan_and_broken_files(tmp_path):
    with pytest.raises(ValueError, match="finite"):
        write_emotion_db(tmp_path / "a.npz", EmotionDB(numbered(2) * np.nan, {"a": (0, 2)}))
    (tmp_path / "b.npz").write_bytes(b"PK\3\4 nothing")
    with pytest.raises(ValueError, match=r"b\.npz"):
        read_emotion_db(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", emo_db=numbered(2))
    with pytest.raises(ValueError, match="emo_spec_names"):
        read_emotion_db(tmp_path / "c.npz")


def test_actor_databases_split_one_table():
    spans = [("x", "s1", 0, 3), ("y", "s1", 3, 2), ("x", "muted", 5, 1)]
    databases = actor_databases(numbered(6), spans)
    assert databases["x"].spans == {"s1": (0, 3), "muted": (3, 1)}
    assert databases["x"].row("muted", 0)[0] == 5 and databases["y"].row("s1", 1)[0] == 4
    with pytest.raises(ValueError, match="twice"):
        actor_databases(numbered(6), [("x", "s1", 0, 3), ("x", "s1", 3, 3)])


def test_compact_keeps_the_frames_that_trained_and_their_numbers(tmp_path):
    database = EmotionDB(numbered(20), {"a": (0, 10), "b": (10, 5), "c": (15, 5)})
    small = compact(database, {"a": [(4, 5), (2, 3)], "c": [(0, 99)]})
    assert len(small.vectors) == 4 + 5 and list(small.spans) == ["a", "c"]
    for shot, frame in (("a", 2), ("a", 5), ("c", 4)):
        np.testing.assert_array_equal(small.row(shot, frame), database.row(shot, frame))
    assert small.locate("a", 5) == ("a", 3)
    with pytest.raises(UserError, match="frames 2 to 5"):
        small.row("a", 1)
    write_emotion_db(tmp_path / "a.npz", small)
    assert read_emotion_db(tmp_path / "a.npz").first == {"a": 2}


def test_train_run_round_trip(tmp_path):
    spec = fake_run.make_spec(("ada", "bob"))
    preproc = {a: fake_run.make_preproc(tmp_path / "src", a, 3 + i) for i, a in enumerate(spec.actors)}
    preproc["bob"].topology = Topology(np.array([[0, 1, 11]]))
    write_train_run(tmp_path / "run", spec, preproc)
    run = load_train_run(tmp_path / "run")
    assert not run.actor("ada").topology and run.actor("bob").topology.skin.tolist() == [[0, 1, 11]]
    assert run.spec == spec and run.name == "run"
    assert spec.max_sizes == {"skin_coeffs": 4, "tongue_coeffs": 2, "jaw": 15, "eye": 4}
    assert run.export_folder("bob") == tmp_path / "run" / "deploy"
    (tmp_path / "run" / "deploy" / "bob").mkdir(parents=True)
    assert run.export_folder("bob") == tmp_path / "run" / "deploy" / "bob", "a network for each actor"
    actor = run.actor("bob")
    assert actor.codec.layout.sizes == {"skin_coeffs": 4, "tongue_coeffs": 2, "jaw": 15, "eye": 4}
    for name, array in actor.network_data.items():
        assert array.dtype == np.dtype("<f4") and array.flags.c_contiguous, name
        np.testing.assert_array_equal(array, preproc["bob"].network_data[name].astype(np.float32))
    assert set(actor.blendshapes) == {"skin", "tongue"}
    assert (tmp_path / "run/actors/bob/bs_skin_config_bob.json").is_file()


def test_train_run_problems_are_told(tmp_path):
    with pytest.raises(UserError, match="not a training run"):
        load_train_run(tmp_path)
    (tmp_path / "network_info_full.json").write_text(json.dumps({"network_type": "regression", "old_key": 1}))
    with pytest.raises(UserError, match="old_key"):
        load_train_run(tmp_path)
    (tmp_path / "network_info_full.json").write_text('{"network_type": ')
    with pytest.raises(UserError, match=f"training run {tmp_path.name} is damaged: .*network_info_full.json: line 1"):
        load_train_run(tmp_path)
    with pytest.raises(ValueError, match="ada"):
        write_train_run(tmp_path / "run", fake_run.make_spec(), {})


def test_emotion_vectors():
    spec = fake_run.make_spec()
    assert spec.emotion_vector("anger").tolist() == [0, 1]
    assert spec.emotion_vector(None).tolist() == spec.emotion_vector("neutral").tolist() == [0, 0]
    assert spec.emotion_vector({"joy": 0.5, "neutral": 1}).tolist() == [0.5, 0]
    assert spec.emotion_vector([0.25, 1]).tolist() == [0.25, 1]
    for label, words in (
        ("angr", "did you mean 'anger'"),
        ([1.0], "2 finite weights"),
        ({"joy": "x"}, "finite number"),
    ):
        with pytest.raises(UserError, match=words):
            spec.emotion_vector(label)
    with pytest.raises(UserError, match="emotion 'neutral': known are joy, anger"):
        fake_run.make_spec(zero_emotion=None, default_emotion="joy").emotion_vector("neutral")


def test_needs_no_torch():
    import subprocess
    import sys

    code = "import sys, audio2face.runs.train_run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
