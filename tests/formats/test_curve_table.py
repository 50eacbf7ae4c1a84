"""Tables of named values per frame: every layout by a file made here, round trips, and what malformed ones say."""

import json

import numpy as np
import pytest

from audio2face.formats.animation_json import JsonAnimation, write_animation_json
from audio2face.formats.arkit_csv import COLUMNS, HEADER, read_arkit_csv, write_arkit_csv
from audio2face.formats.arkit_names import CURVES, arkit_name
from audio2face.formats.curve_rows import rate_from, time_unit, times_from
from audio2face.formats.curve_table import curve_table, read_curve_table, read_missing, write_curve_table

GAP = np.nan


def read(tmp_path, text, suffix=".csv", names=None):
    file = tmp_path / f"a{suffix}"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_curve_table(file, names)


def test_names_of_arkit_in_any_writing():
    for name in ("jawOpen", "JawOpen", "jaw_open", "JAWOPEN", "bs.jawOpen", "blendShapes.JawOpen", "arkit_jawOpen"):
        assert arkit_name(name) == "jawOpen"
    assert arkit_name("eyeBlink_L") == arkit_name("EyeBlinkLeft") == arkit_name("eye_blink_left") == "eyeBlinkLeft"
    assert [arkit_name(name) for name in ("HeadYaw", "_neutral", "jaw", "")] == [None] * 4
    assert all(arkit_name(name) == name for name in CURVES)


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
@pytest.mark.parametrize("fps", [None, 30.0, 30000 / 1001, 25.5, 60.0])
def test_round_trip(tmp_path, suffix, fps):
    values = np.random.default_rng(0).normal(size=(90, 3)).astype(np.float32)
    values[3, 1] = values[7] = GAP
    table = curve_table(("jawOpen", "head,yaw", 'a "b"'), values, fps)
    write_curve_table(tmp_path / f"a{suffix}", table)
    back = read_curve_table(tmp_path / f"a{suffix}")
    assert back.names == table.names and back.fps == (fps if fps is None else pytest.approx(fps, abs=1e-6))
    np.testing.assert_array_equal(back.with_gaps, values)
    np.testing.assert_array_equal(back.valid, ~np.isnan(values))
    assert not back.values[~back.valid].any()
    assert back.values.dtype == np.float32


def test_live_link_as_its_own_reader_reads_it(tmp_path):
    weights = {"jawOpen": np.linspace(0, 1, 130), "tongueOut": np.linspace(1, 0, 130)}
    write_arkit_csv(tmp_path / "a.csv", weights, 60, np.tile([1.0, 2, 3, 4, 5, 6], (130, 1)))
    table, other = read_curve_table(tmp_path / "a.csv"), read_arkit_csv(tmp_path / "a.csv")
    assert table.names == tuple(arkit_name(name) or name for name in COLUMNS) and table.source == "live_link"
    np.testing.assert_array_equal(table.values, other.values)
    np.testing.assert_array_equal(table.times_s, other.times_s)
    assert table.fps == other.fps == 60


def test_live_link_rows_without_a_face_are_missing(tmp_path):
    rows = [f"01:00:{t // 30:02d}:{t % 30:02d},{0 if t in (0, 5) else 61}" + ",0.5" * 61 for t in range(40)]
    rows[5] = "01:00:00:05,0" + "," * 61
    table = read(tmp_path, "\n".join([",".join((*HEADER,)), *rows]))
    assert table.values.shape == (40, 61) and table.fps == 30
    assert np.flatnonzero(~table.valid.any(axis=1)).tolist() == [0, 5]
    np.testing.assert_allclose(table.times_s, np.arange(40) / 30, atol=1e-9)


def test_separators_marks_and_decimal_commas(tmp_path):
    expected = np.array([[0.5, -1], [1.5, 2e-3]], np.float32)
    for text in (
        "jawOpen,x\n0.5,-1\n1.5,2e-3\n",
        "jawOpen;x\r\n0,5;-1\r\n1,5;0,002\r\n",
        "jawOpen\tx\n0.5\t-1\n1.5\t0.002",
        b"\xef\xbb\xbfJaw_Open, x\n 0.5 ,-1\n1.5,0.002\n\n\n",
        "jawOpen\tx\n0.5\t-1\n1.5\t0.002\n".encode("utf-16"),
        "jawOpen,x\n\n0.5,-1\n\n1.5,2e-3\n\n",  # lines ended twice
        '"jawOpen","x"\r\n"0.5","-1"\r\n"1.5","0.002"\r\n',
    ):
        table = read(tmp_path, text)
        assert table.names == ("jawOpen", "x") and table.valid.all() and table.fps is None
        np.testing.assert_array_equal(table.values, expected)


def test_what_is_missing(tmp_path):
    table = read(tmp_path, "a,b\n1,2\n\n3,\nnan,N/A\n,,\n".replace(",,", ",") + "4,5\n")
    assert table.valid.tolist() == [[True, True], [False] * 2, [True, False], [False] * 2, [False] * 2, [True, True]]
    assert table.values[0].tolist() == [1, 2] and table.values[5].tolist() == [4, 5]


@pytest.mark.parametrize(
    ("name", "stamps", "fps"),
    [
        ("time", [t / 25 for t in range(50)], 25),
        ("Time (ms)", [round(1000 * t / 30) for t in range(60)], 30),
        ("timestamp_ms", [round(1000 * t / 60) for t in range(120)], 60),
        ("timestamp", [round(1000 * t / 30) for t in range(60)], 30),  # milliseconds by their steps
        ("timestamp", [1.7e9 + t / 32 for t in range(60)], 32),
        ("timeCode", [t / 30 for t in range(60)], 30),
        ("seconds", [1001 * t / 30000 for t in range(60)], 30000 / 1001),
    ],
)
def test_times(tmp_path, name, stamps, fps):
    text = "\n".join([f",{name},blendShapes.JawOpen", *(f"{i},{s!r},{i / 100}" for i, s in enumerate(stamps))])
    table = read(tmp_path, text)
    assert table.names == ("jawOpen",) and table.source == "audio2face"
    assert table.fps == pytest.approx(fps, rel=1e-9)
    np.testing.assert_allclose(table.times_s, np.arange(len(stamps)) / fps, atol=6e-4)


def test_units_in_names():
    assert time_unit("time") == time_unit("timeCode") == time_unit("t") == (True, None)
    assert time_unit("seconds") == time_unit("time_s") == time_unit("Time [s]") == (True, 1.0)
    assert time_unit("ms") == time_unit("timeStampMs") == time_unit("frame_time_ms") == (True, 1e-3)
    assert not any(time_unit(name)[0] for name in ("s", "jawOpen", "head_s", "times_two", "", "#", "lips"))


def test_rates_as_close_as_times_are_written():
    for fps in (24, 25, 30, 30000 / 1001, 60, 60000 / 1001, 120):
        assert rate_from(np.arange(300) / fps) == pytest.approx(fps, rel=1e-9)
        if fps == round(fps):
            assert rate_from(np.round(np.arange(300) / fps, 3)) == fps
    assert rate_from(np.arange(50) / 33.3) == pytest.approx(33.3)
    assert rate_from(np.delete(np.arange(300) / 30, [20, 21, 100])) == pytest.approx(30)
    assert rate_from(np.zeros(1)) is None
    assert times_from("a", np.array([5.0, 5.0, 6.0, 7.0]), 1.0, range(4))[0].tolist() == [5, 5.5, 6, 7]


def test_frame_numbers_leave_gaps(tmp_path):
    table = read(tmp_path, "frame,jawOpen\n3,0.1\n4,0.2\n7,0.5\n")
    assert table.valid[:, 0].tolist() == [True, True, False, False, True]
    assert table.notes == ("its first row is frame 3", "2 frames have no row")
    for text, words in (
        ("frame,a\n1,0\n1,0\n", "line 3: its frame 1 does not follow"),
        ("#,a\n1.5,0\n", "line 2: its frame 1.5 is not a whole number"),
        ("index,a\n,0\n", "line 2, column 'index': expected a number, found nothing"),
    ):
        with pytest.raises(ValueError, match=words):
            read(tmp_path, text)


def test_mediapipe(tmp_path):
    names = ("_neutral", *sorted(set(CURVES) - {"tongueOut"}))
    rows = np.random.default_rng(1).random((4, 52)).round(4)
    text = "\n".join(
        [
            ",".join(("frame", "timestamp_ms", *names)),
            *(f"{t},{t * 40}," + ",".join(map(str, r)) for t, r in enumerate(rows)),
        ]
    )
    table = read(tmp_path, text)
    assert table.names == names and table.source == "mediapipe" and table.fps == 25
    np.testing.assert_allclose(table.values, rows, atol=1e-7)


def test_ifacialmocap(tmp_path):
    lines = [
        "mouthSmile_R-12|jawOpen&50.5|tongueOut-0|=head#1.5,-2,3,0.1,0.2,-0.3|rightEye#1,2,3|leftEye#4,5,6|",
        "",
        "jawOpen--3|mouthSmile_R-14|=head#1,-2,3,0.1,0.2,-0.3|rightEye#1,2,3|leftEye#4,5,6",
    ]
    table = read(tmp_path, "\n".join(lines) + "\n\n", ".txt")
    assert table.names[:6] == ("mouthSmileRight", "jawOpen", "tongueOut", "headPitch", "headYaw", "headRoll")
    assert table.names[6:10] == ("head_position_x", "head_position_y", "head_position_z", "rightEyePitch")
    assert table.column("jawOpen").tolist() == [50.5, 0, -3] and table.column("headYaw").tolist() == [-2, 0, -2]
    assert table.valid.sum(axis=1).tolist() == [15, 0, 14] and table.source == "ifacialmocap"
    for bad, words in (
        ("jawOpen-1|nonsense|", "line 2: expected name-value.*'nonsense'"),
        ("jawOpen-1|jawOpen-2", "line 2: 'jawOpen' stands there twice"),
        ("=head#1,2|jawOpen-1", "line 2: head: expected 3 degrees"),
    ):
        with pytest.raises(ValueError, match=words):
            read(tmp_path, f"{lines[0]}\n{bad}\n", ".txt")


JSONS = [
    {"exportFps": 30, "numPoses": 2, "numFrames": 2, "facsNames": ["jawOpen", "EyeBlinkL"], "weightMat": [[0.1, 0.2], [0.3, 0.4]]},
    {"names": ["jawOpen", "EyeBlinkL"], "metadata": {"fps": 30}, "frames": [{"time": 0, "weights": [0.1, 0.2]}, {"time": 0.0333333, "weights": [0.3, 0.4]}]},
    {"fps": 30, "frames": [{"frame": 1, "jawOpen": 0.1, "EyeBlinkL": 0.2}, {"frame": 2, "jawOpen": 0.3, "EyeBlinkL": 0.4}]},
    [
        {"version": 6, "device_id": "x", "blendshape_count": 2, "blendshapes": {"JawOpen": a, "EyeBlinkL": b},
         "frame_time": {"frame_number": n, "sub_frame": 0.0, "numerator": 30, "denominator": 1}}
        for n, a, b in ((100, 0.1, 0.2), (101, 0.3, 0.4))
    ],
    {"fps": 30, "frames": [{"faceBlendshapes": None, "blendshapes": [{"categoryName": "jawOpen", "score": a}, {"categoryName": "EyeBlinkL", "score": b}]} for a, b in ((0.1, 0.2), (0.3, 0.4))]},
    {"fps": 30, "frames": [{"Facial": {"Names": ["jawOpen", "EyeBlinkL"], "Weights": w}, "Body": {}} for w in ([0.1, 0.2], [0.3, 0.4])]},
]  # fmt: skip


@pytest.mark.parametrize("data", JSONS)
def test_json(tmp_path, data):
    table = read(tmp_path, json.dumps(data), ".json")
    assert table.names == ("jawOpen", "EyeBlinkL") and table.fps == pytest.approx(30, rel=1e-3)
    np.testing.assert_allclose(table.values, [[0.1, 0.2], [0.3, 0.4]], atol=1e-7)


def test_json_of_frames_with_more(tmp_path):
    frames = [
        {"jawOpen": 0.5, "head": {"yaw": 1, "position": {"x": 2}}, "id": "a"},
        None,
        {"jawOpen": None, "tongueOut": 1},
    ]
    table = read(tmp_path, json.dumps({"frames": frames}), ".json")
    assert table.names == ("jawOpen", "head_yaw", "head_position_x", "tongueOut")
    assert table.valid.tolist() == [[True, True, True, False], [False] * 4, [False, False, False, True]]
    own = JsonAnimation(30.0, np.zeros((2, 4, 4)), np.zeros((2, 6)), {"jawOpen": np.array([0, 0.25])})
    write_animation_json(tmp_path / "own.json", own)
    assert read_curve_table(tmp_path / "own.json").values.tolist() == [[0], [0.25]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"a": 1}, "expected names and rows of values, or a list of frames; found a"),
        ({"names": ["a"], "frames": [[1, 2]]}, "frame 0: 2 values, 1 names"),
        ({"frames": [{"a": True, "weights": {"b": "x"}}]}, "none of its 1 frames has a named value"),
        ({"names": ["a", "a"], "frames": [[1, 2]]}, "frame 0: 'a' stands there twice"),
        ({"names": ["a"], "frames": [["x"]]}, "frame 0, a: expected a number, found 'x'"),
        ({"fps": 0, "names": ["a"], "frames": [[1]]}, "fps: expected a number above 0"),
        ([{"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}], "nested more than"),
        ([3], "expected an object or a list, found 3"),
    ],
)
def test_json_that_is_wrong(tmp_path, data, words):
    with pytest.raises(ValueError, match=f"a.json.*{words}"):
        read(tmp_path, json.dumps(data), ".json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: expected a header of names, found nothing"),
        ("1,2\n3,4\n", "line 1: expected a header of names, found numbers"),
        ("a,b\n1,2\n3\n", "line 3: expected 2 cells as in the header, found 1"),
        ("a,b\n1,2\n3,4,5\n", "line 3: expected 2 cells as in the header, found 3"),
        ("a,b\n1,x\n", "line 2, column 'b': expected a number, found 'x'"),
        ("a,b\n1,0,5\n".replace("0,5", '"0,5"'), "line 2, column 'b': expected a number, found '0,5'"),
        ("a,b\n1,inf\n", "line 2, column 'b': expected a number, found infinity"),
        ("a,b\n1,1e39\n", "row 0, column 'b': expected a number, found infinity"),
        ("a,b,a\n1,2,3\n", "columns 1 and 3 are both named 'a'"),
        ("jawOpen,Jaw_Open\n1,2\n", "columns 'jawOpen' and 'Jaw_Open' are both jawOpen"),
        ("time,a\n0,1\n0.1,1\n0.05,1\n", "line 4: its time 0.05 is earlier"),
        ("time\n0\n", "no column of values beside time"),
        ("Timecode,BlendShapeCount,JawOpen\n00:00:00:xx,1,0\n", "line 2: expected a time code"),
    ],
)
def test_tables_that_are_wrong(tmp_path, text, words):
    with pytest.raises(ValueError, match=f"a.csv.*{words}"):
        read(tmp_path, text)


def test_columns_by_name(tmp_path):
    text = "time,JawOpen,note,headYaw\n0,0.1,hello,1\n0.04,0.2,x,2\n"
    table = read(tmp_path, text, names=("headYaw", "jawOpen"))
    assert table.names == ("headYaw", "jawOpen") and table.values.tolist() == [
        [1, np.float32(0.1)],
        [2, np.float32(0.2)],
    ]
    with pytest.raises(ValueError, match="column 'note': expected a number, found 'hello'"):
        read(tmp_path, text)
    with pytest.raises(ValueError, match="no column tongueOut; it has time, JawOpen"):
        read(tmp_path, text, names=("tongueOut",))


def test_arrays(tmp_path):
    values = np.arange(6.0).reshape(3, 2)
    np.save(tmp_path / "a.npy", values)
    assert read_curve_table(tmp_path / "a.npy", ["x", "JawOpen"]).names == ("x", "jawOpen")
    with pytest.raises(ValueError, match="a.npy: a .npy has no names"):
        read_curve_table(tmp_path / "a.npy")
    with pytest.raises(ValueError, match=r"a.npy: expected numbers \(T, 1\), found \(3, 2\)"):
        read_curve_table(tmp_path / "a.npy", ["x"])
    good = {"values": values, "names": np.array(["x", "y"]), "fps": np.float32(30)}
    np.savez(tmp_path / "a.npz", **good, valid=np.array([1, 0, 1], bool))
    assert read_curve_table(tmp_path / "a.npz").valid.tolist() == [[True] * 2, [False] * 2, [True] * 2]
    assert read_curve_table(tmp_path / "a.npz", ["y"]).values[:, 0].tolist() == [1, 0, 5]
    for change, words in (
        ({"names": np.array(["x"])}, r"expected numbers \(T, 1\)"),
        ({"names": np.arange(2)}, "names: expected texts"),
        ({"fps": -1.0}, "fps: expected a number above 0"),
        ({"fps": np.array([1, 2])}, "fps: expected one number"),
        ({"valid": np.ones(2, bool)}, "valid: expected a mask"),
        ({"times_s": np.arange(2.0)}, r"times_s: expected \(3,\)"),
        ({"values": np.arange(3)}, r"expected numbers \(T, 2\), found \(3,\)"),
        ({"values": np.full((3, 2), np.inf)}, "row 0, column 'x': expected a number, found infinity"),
    ):
        np.savez(tmp_path / "b.npz", **{**good, **change})
        with pytest.raises(ValueError, match=f"b.npz: {words}"):
            read_curve_table(tmp_path / "b.npz")
    np.savez(tmp_path / "b.npz", values=values)
    with pytest.raises(ValueError, match="expected the arrays values and names, found values"):
        read_curve_table(tmp_path / "b.npz")
    with pytest.raises(ValueError, match="a.obj: expected a table of curves"):
        read_curve_table(tmp_path / "a.obj")
    with pytest.raises(ValueError, match="written as .npz or .csv"):
        write_curve_table(tmp_path / "a.json", curve_table(["x"], values[:, :1]))


def test_missing_frames(tmp_path):
    file = tmp_path / "a_missing.npy"
    for frames, expected in (([4, 1, 1], [1, 4]), ([], []), ([True, False, False, True, False], [0, 3])):
        np.save(file, np.array(frames))
        assert read_missing(file, 5).tolist() == expected
    for frames, words in (
        ([5], "frame 5 is not one of the shot's 5"),
        ([-1], "frame -1"),
        ([[1]], "expected frame numbers"),
        ([0.5], "expected frame numbers"),
        ([True], "expected frame numbers"),
    ):
        np.save(file, np.array(frames))
        with pytest.raises(ValueError, match=f"a_missing.npy: {words}"):
            read_missing(file, 5)


FILES = {
    ".csv": b"frame;time_ms;JawOpen;x\n0;0;0,5;1\n\n1;33;nan;2\n2;66;1e-3;\n",
    ".tsv": "Timecode\tBlendShapeCount\tJawOpen\n01:00:00:00\t1\t0\n01:00:00:01\t1\t1\n".encode("utf-16"),
    ".txt": b"jawOpen-12|x&1|=head#1,2,3,4,5,6|\n\njawOpen-13|x&1|=head#1,2,3,4,5,6|\n",
    ".json": json.dumps([*JSONS[3], None, *JSONS[2]["frames"]]).replace("JawOpen", "jawOpen").encode(),
}


@pytest.mark.parametrize("suffix", [*FILES, ".npz"])
def test_any_byte_changed_gives_a_table_or_a_value_error(tmp_path, suffix):
    file = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        write_curve_table(file, curve_table(("a", "b"), np.eye(2), 30.0, times_s=np.arange(2.0)))
    else:
        file.write_bytes(FILES[suffix])
    content, rng = file.read_bytes(), np.random.default_rng(0)
    tables = 0
    for _ in range(400):
        changed = bytearray(content[: rng.integers(len(content) // 2, 2 * len(content))])
        for place in rng.integers(0, len(changed), rng.integers(0, 3)):
            changed[place] = rng.choice(bytearray(b'0,;|-#"\n{}[]:.eE\t\x00\xff9') if suffix != ".npz" else range(256))
        file.write_bytes(changed)
        try:
            table = read_curve_table(file)
        except ValueError as error:
            assert str(file) in str(error)
        else:
            tables += 1
            assert table.values.shape == table.valid.shape == (len(table.values), len(table.names))
            assert np.isfinite(table.values).all() and (table.times_s is None or (np.diff(table.times_s) > 0).all())
    assert 0 < tables < 400
