"""Round trips, golden bytes, and every kind of damage: a reader returns all of the data or a ValueError."""

import logging
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes.maya_cache import build, description, frame, group, head, values

from audio2face.formats import ANIMATION_READERS, ANIMATION_WRITERS, animation_header, find_animation, read_animation
from audio2face.formats.arkit_csv import read_arkit_csv
from audio2face.formats.git_lfs import pointer_problems
from audio2face.formats.gltf import read_gltf
from audio2face.formats.gltf_rig import read_gltf_rig
from audio2face.formats.json_file import read_json
from audio2face.formats.maya_cache import read_maya_cache, write_maya_cache
from audio2face.formats.maya_chunks import open_chunks
from audio2face.formats.npy import read_npy, read_npz, write_npy, write_npz
from audio2face.formats.obj import read_obj
from audio2face.formats.phoneme_times import read_phoneme_times
from audio2face.formats.ply import read_ply
from audio2face.formats.point_cache import read_point_cache, write_point_cache
from audio2face.formats.sound import read_sound, sound_info, sounds_info, with_right_header, write_sound
from audio2face.problems import UserError


def mesh(frames=5, vertices=7, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).normal(size=(frames, vertices, 3)).astype(dtype)


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 123456\n"


# --- Maya -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("vertices", [1, 7, 8])
def test_maya_round_trip_is_exact_and_mapped(tmp_path, wide, dtype, vertices):
    x = mesh(vertices=vertices, dtype=dtype)
    x[0, 0] = [-0.0, np.finfo(dtype).tiny / 2, np.finfo(dtype).max]
    _, data = write_maya_cache(tmp_path / "a.b", x, 30, "headShape", start_frame=-3, for4_limit=0 if wide else 2**31)
    assert data.name == ("a.b.mcx" if wide else "a.b.mc")
    cache = read_maya_cache(tmp_path / "a.b.xml")
    assert cache.frames.astype(dtype).tobytes() == x.tobytes()
    assert not cache.frames.flags.owndata and (cache.fps, cache.start_frame, cache.channel) == (30, -3, "headShape")
    assert animation_header(tmp_path / "a.b.xml") == (5, vertices, 30)


@pytest.mark.parametrize("whole", [24, 30, 60])
def test_maya_caches_call_ntsc_rates_by_the_whole_one(tmp_path, whole):
    for fps in (whole * 1000 / 1001, round(whole * 1000 / 1001, 3)):
        write_maya_cache(tmp_path / "a", mesh(), fps, "headShape")
        assert read_maya_cache(tmp_path / "a.xml").fps == whole


@pytest.mark.parametrize("wide", [False, True])
def test_maya_writer_equals_the_second_writer(tmp_path, wide):
    x = mesh()
    xml = build(tmp_path, x, wide, start=2)
    path, data = write_maya_cache(tmp_path / "ours.xml", x, 30, "face", 2, for4_limit=0 if wide else 2**31)
    assert path.name == "ours.xml" and data.read_bytes() == xml.with_suffix(data.suffix).read_bytes()


def test_maya_golden_bytes(tmp_path):
    write_maya_cache(tmp_path / "a", np.array([[[1, 2, 3]]], np.float32), 60, "m", start_frame=1)
    assert (tmp_path / "a.mc").read_bytes().hex(" ", 4) == (
        "464f5234 00000028 43414348 5652534e 00000004 302e3100 5354494d 00000004 00000064 4554494d 00000004 00000064 "
        "464f5234 0000003c 4d594348 54494d45 00000004 00000064 43484e4d 00000002 6d000000 53495a45 00000004 00000001 "
        "46564341 0000000c 3f800000 40000000 40400000"
    )
    text = (tmp_path / "a.xml").read_text()
    for part in ('Format="mcc"', 'Range="100-100"', 'TimePerFrame="100"', 'ChannelName="m"', 'EndTime="100"'):
        assert part in text


def test_maya_for8_starts_where_a_file_would_pass_the_limit(tmp_path):
    x = mesh()
    size = write_maya_cache(tmp_path / "a", x, 30, "face")[1].stat().st_size
    assert write_maya_cache(tmp_path / "b", x, 30, "face", for4_limit=size)[1].suffix == ".mc"
    assert write_maya_cache(tmp_path / "c", x, 30, "face", for4_limit=size - 1)[1].suffix == ".mcx"


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("per_frame", [False, True])
@pytest.mark.parametrize("start", [0, -12, 250])
def test_maya_layouts(tmp_path, wide, per_frame, start):
    x = mesh(frames=13)
    xml = build(tmp_path, x, wide, per_frame, start, step=100)
    animation = read_animation(xml)
    assert np.array_equal(animation.frames, x) and (animation.fps, animation.start_frame) == (60, start)
    assert animation_header(xml) == (13, 7, 60)
    block = animation.block(2, 5)
    assert block.dtype.byteorder in ("=", "<" if sys.byteorder == "little" else ">") and block.flags.writeable
    assert np.array_equal(block, x[2:5])


@pytest.mark.parametrize("per_frame", [False, True])
def test_maya_frames_between_frames(tmp_path, per_frame):
    """Two samples a frame, as `Tick` files or as such times: twice the rate of TimePerFrame."""
    xml = build(tmp_path, mesh(frames=4), per_frame=per_frame, sampling=100, start=3)
    assert read_animation(xml).fps == 60 and animation_header(xml).fps == 60
    assert not per_frame or (tmp_path / "shotFrame3Tick100.mc").exists()


def test_maya_channels(tmp_path):
    x, other, counts = mesh(), mesh(vertices=4, dtype=np.float64, seed=1), mesh(vertices=2, seed=2)
    xml = build(tmp_path, x, others=[("velocity", other, None), ("count", counts, b"FBCA")])
    assert np.array_equal(read_animation(xml).frames, x)  # the only one meant as positions
    assert np.array_equal(read_animation(xml, "velocity").frames, other)
    assert animation_header(xml, "velocity") == (5, 4, 30)
    for name in ("count", "nothing"):
        with pytest.raises(ValueError, match="channels are: face, velocity"):
            read_animation(xml, name)
    xml.write_text(xml.read_text().replace('Interpretation=""', 'Interpretation="positions"'))
    for read in (read_animation, animation_header):
        with pytest.raises(ValueError, match="name the one to read among: face, velocity"):
            read(xml)


def test_maya_uneven_frames_are_copied(tmp_path):
    x = mesh(frames=3)
    rows = [frame(False, 200 * i, values(False, "n" * i, mesh()[0]), values(False, "face", x[i])) for i in (0, 1, 2)]
    (tmp_path / "shot.mc").write_bytes(head(False, 0, 400) + b"".join(rows))
    (tmp_path / "shot.xml").write_text(description([0, 400], channels=[("face", "positions")]))
    assert np.array_equal(read_animation(tmp_path / "shot.xml").frames, x)


def test_maya_time_stamps_that_make_no_sense_are_reported(tmp_path, caplog):
    x = mesh(frames=3)
    rows = [frame(False, i, values(False, "face", x[i])) for i in range(3)]
    (tmp_path / "shot.mc").write_bytes(head(False, 0, 1) + b"".join(rows))
    (tmp_path / "shot.xml").write_text(description([0, 400], channels=[("face", "positions")]))
    with caplog.at_level(logging.WARNING):
        assert read_animation(tmp_path / "shot.xml").fps == 30
    assert "stamped 1 ticks apart" in caplog.text


@pytest.mark.parametrize("wide", [False, True])
def test_maya_cut_anywhere(tmp_path, wide):
    x = mesh(frames=3, vertices=3)
    xml = build(tmp_path, x, wide)
    data = tmp_path / ("shot.mcx" if wide else "shot.mc")
    whole = data.read_bytes()
    for end in range(len(whole)):
        data.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"shot\.mcx?: byte \d+: expected .*, found "):
            read_animation(xml)
        try:
            animation_header(xml)
        except ValueError as error:
            assert str(data) in str(error)


@pytest.mark.parametrize("wide", [False, True])
def test_maya_any_byte_changed_gives_data_or_a_value_error(tmp_path, wide):
    xml = build(tmp_path, mesh(frames=2, vertices=2), wide)
    data = tmp_path / ("shot.mcx" if wide else "shot.mc")
    whole = data.read_bytes()
    for i in range(len(whole)):
        for value in (0, 0xFF, whole[i] ^ 1):
            data.write_bytes(whole[:i] + bytes([value]) + whole[i + 1 :])
            try:
                assert read_animation(xml).frames.shape == (2, 2, 3)
            except ValueError:
                pass


def test_maya_description_cut_anywhere(tmp_path):
    xml = build(tmp_path, mesh())
    whole = xml.read_text()
    for end in range(0, len(whole), 3):
        xml.write_text(whole[:end])
        with pytest.raises(ValueError, match="shot.xml"):
            read_animation(xml)


def test_maya_contradictions(tmp_path):
    x = mesh(frames=3)

    def refused(match, body, ticks=(0, 400), **kwargs):
        (tmp_path / "shot.mc").write_bytes(head(False, 0, 400) + body)
        (tmp_path / "shot.xml").write_text(description(list(ticks), **kwargs))
        with pytest.raises(ValueError, match=match):
            read_animation(tmp_path / "shot.xml")

    rows = [frame(False, 200 * i, values(False, "face", x[i])) for i in range(3)]
    refused("found 2", rows[0] + rows[1])
    refused("expected the frame at tick 200, found tick 400", rows[0] + rows[2])
    refused("expected 3 frames .*found 0|a frame", b"")
    refused("7 vertices of FVCA", rows[0] + frame(False, 200, values(False, "face", x[1, :6])) + rows[2])
    refused("7 vertices of FVCA", rows[0] + frame(False, 200, values(False, "face", x[1].astype(np.float64))) + rows[2])
    refused("'face' as in the first frame, found none", rows[0] + frame(False, 200, values(False, "f", x[1])) + rows[2])
    refused("number of vertices", rows[0] + frame(False, 200, values(False, "face", x[1], count=8)) + rows[2])
    refused("once", rows[0] + frame(False, 200, *[values(False, "face", x[1])] * 2) + rows[2])
    refused("MYCH", group(False, b"CACH", b"") + b"".join(rows))
    refused("TimePerFrame", b"".join(rows), step=0)
    refused("mcc or mcx", b"".join(rows), form="mcz")
    (tmp_path / "shot.xml").write_text(description([0, 400]))
    (tmp_path / "shot.mc").unlink()
    with pytest.raises(ValueError, match="shot.mc beside it"):
        read_animation(tmp_path / "shot.xml")
    (tmp_path / "shot.xml").write_text("<svg/>")
    with pytest.raises(ValueError, match="Autodesk_Cache_File"):
        read_animation(tmp_path / "shot.xml")


def test_maya_per_frame_files_missing_or_cut(tmp_path):
    xml = build(tmp_path, mesh(frames=5), per_frame=True)
    (tmp_path / "shotFrame10.mc.bak").write_bytes(b"no cache")
    (tmp_path / "shot2Frame1.mc").write_bytes(b"of another shot")
    part = tmp_path / "shotFrame2.mc"
    whole = part.read_bytes()
    for end in range(0, len(whole), 3):
        part.write_bytes(whole[:end])
        with pytest.raises(ValueError):
            read_animation(xml)
    part.write_bytes(whole + whole[48:])
    with pytest.raises(ValueError, match="one frame in each"):
        read_animation(xml)
    part.unlink()
    with pytest.raises(ValueError, match="expected the frame at tick 400"):
        read_animation(xml)
    part.write_bytes(whole)
    (tmp_path / "shotFrame4.mc").unlink()
    with pytest.raises(ValueError, match="expected 5 frames"):
        read_animation(xml)


def test_maya_writer_refuses(tmp_path):
    with pytest.raises(ValueError, match=r"29\.9 fps"):
        write_maya_cache(tmp_path / "a", mesh(), 29.9, "face")
    with pytest.raises(ValueError, match=r"\(T, V, 3\)"):
        write_maya_cache(tmp_path / "a", mesh()[0], 30, "face")
    assert not list(tmp_path.iterdir())


# --- PC2 and NumPy ----------------------------------------------------------------------------------------------------


def test_point_cache_round_trip(tmp_path):
    x = mesh()
    write_point_cache(tmp_path / "a.pc2", x, start_frame=4)
    y = read_point_cache(tmp_path / "a.pc2")
    assert isinstance(y, np.memmap) and np.array_equal(x, y)
    assert (tmp_path / "a.pc2").read_bytes()[:32] == struct.pack("<12siiffi", b"POINTCACHE2\0", 1, 7, 4.0, 1.0, 5)
    assert read_animation(tmp_path / "a.pc2").start_frame == 4
    assert animation_header(tmp_path / "a.pc2") == (5, 7, None)


@pytest.mark.parametrize("kind", ["npy", "pc2"])
def test_cut_or_lengthened_anywhere(tmp_path, kind):
    path = ANIMATION_WRITERS[kind](tmp_path / "a", mesh(frames=2, vertices=2), 30, "face")[0]
    whole = path.read_bytes()
    for data in [whole[:end] for end in range(len(whole))] + [whole + b"\0"]:
        path.write_bytes(data)
        for read in (read_animation, animation_header):
            with pytest.raises(ValueError, match=rf"a\.{kind}: byte \d+: expected"):
                read(path)


@pytest.mark.parametrize("kind", ["npy", "pc2"])
def test_header_bytes_changed(tmp_path, kind):
    path = ANIMATION_WRITERS[kind](tmp_path / "a", mesh(frames=2, vertices=2), 30, "face")[0]
    whole = path.read_bytes()
    for i in range(128 if kind == "npy" else 32):
        for value in (0x20, 0xFF):
            path.write_bytes(whole[:i] + bytes([value]) + whole[i + 1 :])
            try:
                frames = read_animation(path).frames
            except ValueError as error:
                assert path.name in str(error)
            else:
                assert frames.ndim == 3 and frames.shape[2] == 3 and frames.dtype.kind == "f"


def test_npy_is_mapped_in_its_own_type(tmp_path):
    for dtype in ("<f4", ">f4", "<f8", "<f2"):
        np.save(tmp_path / "a.npy", mesh().astype(dtype))
        animation = read_animation(tmp_path / "a.npy")
        assert isinstance(animation.frames, np.memmap) and animation.block().dtype == np.float32
    np.save(tmp_path / "f.npy", np.asfortranarray(mesh()))
    assert np.array_equal(read_npy(tmp_path / "f.npy"), mesh())
    write_npy(tmp_path / "none.npy", np.zeros((0, 7, 3), np.float32))
    assert read_animation(tmp_path / "none.npy").frames.shape == (0, 7, 3)
    for bad in (mesh()[0], mesh()[:, :, :2], mesh().astype(int), mesh().astype(object)):
        np.save(tmp_path / "bad.npy", bad)
        with pytest.raises(ValueError, match="bad.npy: byte"):
            read_animation(tmp_path / "bad.npy")


@pytest.mark.parametrize("name", ["file", "allow_pickle", "args", "a/b", "größer"])
def test_npz_names_may_be_anything(tmp_path, name):
    write_npz(tmp_path / "a.npz", {name: np.arange(3.0), "scalar": np.array("1.0")})
    found = read_npz(tmp_path / "a.npz")
    assert found[name].tolist() == [0, 1, 2] and found["scalar"].shape == ()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        assert set(stored.files) == {name, "scalar"}
    before = (tmp_path / "a.npz").read_bytes()
    write_npz(tmp_path / "a.npz", {name: np.arange(3.0), "scalar": np.array("1.0")})
    assert (tmp_path / "a.npz").read_bytes() == before


def test_npz(tmp_path):
    arrays = {"a": mesh(), "b/c": np.arange(3), "d": np.array("text")}
    write_npz(tmp_path / "a.npz", arrays)
    found = read_npz(tmp_path / "a.npz")
    assert found.keys() == arrays.keys() and all(np.array_equal(found[k], arrays[k]) for k in arrays)
    whole = (tmp_path / "a.npz").read_bytes()
    for end in range(0, len(whole), 7):
        (tmp_path / "a.npz").write_bytes(whole[:end])
        with pytest.raises(ValueError, match="a.npz"):
            read_npz(tmp_path / "a.npz")
    np.savez(tmp_path / "o.npz", x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="o.npz: array 'x"):
        read_npz(tmp_path / "o.npz")


# --- any of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(ANIMATION_WRITERS))
def test_every_writer_is_read_back(tmp_path, kind):
    paths = ANIMATION_WRITERS[kind](tmp_path / "take.1", mesh(), 30, "face")
    assert all(p.is_file() and p.name.startswith("take.1.") for p in paths)
    assert np.array_equal(read_animation(paths[0]).frames, mesh())
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_unknown_suffix_or_channel(tmp_path):
    with pytest.raises(ValueError, match="a.abc"):
        read_animation(tmp_path / "a.abc")
    ANIMATION_WRITERS["npy"](tmp_path / "a", mesh(), 30, "face")
    assert len(read_animation(tmp_path / "a.npy", "face").frames) == len(mesh())  # one of a folder of Maya caches


def test_find_animation(tmp_path):
    for shot in ("1", "10", "01", "a.1", "a"):
        (tmp_path / shot).mkdir()
        for junk in (".DS_Store", f".{shot}.npy", f"._{shot}.xml", f"{shot}.mc", f"{shot}Frame1.mc", f"{shot}.npy.bak"):
            (tmp_path / shot / junk).touch()
        (tmp_path / shot / f"{shot}.npy").touch()
    (tmp_path / ".DS_Store").touch()
    for shot in ("1", "10", "01", "a.1", "a"):
        assert find_animation(tmp_path, shot) == tmp_path / shot / f"{shot}.npy"
    (tmp_path / "a" / "a.1.npy").touch()  # of another shot
    assert find_animation(tmp_path, "a").name == "a.npy"
    (tmp_path / "10" / "10.XML").touch()
    with pytest.raises(UserError, match="10.npy and 10.XML"):
        find_animation(tmp_path, "10")
    (tmp_path / "2").mkdir()
    with pytest.raises(UserError, match="holds nothing"):
        find_animation(tmp_path, "2")
    (tmp_path / "2" / "other.pc2").touch()
    with pytest.raises(UserError, match="holds other.pc2"):
        find_animation(tmp_path, "2")
    with pytest.raises(UserError, match="no folder"):
        find_animation(tmp_path, ".DS_Store")
    assert set(ANIMATION_READERS) == {".npy", ".xml", ".pc2"}


# --- sound ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix, tolerance", [(".wav", 2**-15), (".flac", 2**-15)])
def test_sound_round_trip(tmp_path, suffix, tolerance):
    x = np.random.default_rng(0).uniform(-1, 1, (1000, 2)).astype(np.float32)
    write_sound(tmp_path / f"a{suffix}", x, 22050)
    y, rate = read_sound(tmp_path / f"a{suffix}")
    assert rate == 22050 and y.dtype == np.float32 and np.abs(x - y).max() <= tolerance
    info = sound_info(tmp_path / f"a{suffix}")
    assert (info.num_samples, info.sample_rate, info.num_channels) == (1000, 22050, 2)
    assert info.duration_s == 1000 / 22050
    write_sound(tmp_path / "mono.wav", x[:, 0], 8000, "FLOAT")
    assert np.array_equal(read_sound(tmp_path / "mono.wav")[0], x[:, :1])


def test_many_sounds_are_asked_at_once_and_those_that_are_none_left_out(tmp_path):
    paths = [tmp_path / f"{name}.wav" for name in "abc"]
    for path, count in zip(paths, (100, 200, 300), strict=True):
        write_sound(path, np.zeros(count), 16000)
    paths[1].write_bytes(b"no sound")
    missing = tmp_path / "missing.wav"
    assert sounds_info([*paths, missing, paths[0]]) == {path: sound_info(path) for path in (paths[0], paths[2])}


def test_sound_damage(tmp_path):
    path = tmp_path / "a.wav"
    write_sound(path, np.zeros(100), 8000)
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        for read in (read_sound, sound_info):
            with pytest.raises(ValueError, match="a.wav"):
                read(path)
    path.write_bytes(whole[:40] + b"\xff\xff\xff\xff" + whole[44:])  # as programs that write to a pipe leave it
    assert len(read_sound(path)[0]) == 100
    write_sound(path, np.array([0, np.nan, 0]), 8000, "FLOAT")
    with pytest.raises(ValueError, match="sample 1: expected numbers"):
        read_sound(path)
    with pytest.raises(FileNotFoundError):
        read_sound(tmp_path / "none.wav")


SAMPLES = np.random.default_rng(4).integers(-9000, 9000, 8000).astype("<i2")  # half a second
PCM_16 = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)
LIST = b"LIST" + struct.pack("<I", 15) + b"INFOISFT" + struct.pack("<I", 3) + b"sox" + b"\0"
CDATA = SAMPLES.tobytes()


def wav(length=None, riff=None, before=b"", after=b"", sound=CDATA, fmt=PCM_16, magic=b"RIFF"):
    """A wav file whose header gives its sound `length` and the whole `riff` bytes; right where they are None."""
    head = b"WAVE" + before + b"fmt " + struct.pack("<I", len(fmt)) + fmt
    head += LIST if before else b""
    whole = len(head) + 8 + len(sound) + len(after)
    lengths = [len(sound) if length is None else length, whole if riff is None else riff]
    return magic + struct.pack("<I", lengths[1]) + head + b"data" + struct.pack("<I", lengths[0]) + sound + after


def ds64(riff, data):
    return b"ds64" + struct.pack("<IQQQI", 28, riff, data, data // 2, 0)


N = len(CDATA)
OPEN = 0xFFFFFFFF
PIPES = {
    "sox, espeak": wav(0x7FFFF000, 0x7FFFF024),
    "sox, 24-bit stereo": wav(0x7FFFEFFC, 0x7FFFF044),
    "arecord": wav(0x7FFFFF00, 0x7FFFFF24),
    "arecord, newer": wav(0x80000000, 0x80000024),
    "ffmpeg": wav(OPEN, OPEN, before=LIST),
    "browsers, less their headers": wav(OPEN - 36, OPEN),
    "signed": wav(0x7FFFFFFF, 0x7FFFFFFF - 8),
    "Python's wave": wav(0, 36),
    "both 0": wav(0, 0),
    "0 after chunks": wav(0, 36 + 2 * len(LIST), before=LIST),
    "0 in an open whole": wav(0, OPEN),
    "open before chunks": wav(OPEN, OPEN, after=LIST),
    "RF64 left open": wav(OPEN, OPEN, before=ds64(0, 0), magic=b"RF64"),
}
MISTAKEN = {
    "0, and a whole that fits": wav(0),
    "the file's length": wav(N + 44),
    "three times as long": wav(3 * N),
    "too long in a whole that nobody completed": wav(3 * N, 0),
    "too long, but chunks are at its end": wav(3 * N, 3 * N + 60, after=LIST),
    "a little cut": wav(N + 40, N + 76),
}
FINE = {
    "plain": wav(),
    "chunks around": wav(before=LIST, after=LIST),
    "a whole of 0": wav(riff=0),
    "RF64": wav(OPEN, OPEN, before=ds64(N + 130, N), magic=b"RF64"),
    "BW64": wav(OPEN, OPEN, before=ds64(N + 130, N), magic=b"BW64"),
    "extensible": wav(fmt=struct.pack("<HHIIHHHHI", 0xFFFE, 1, 16000, 32000, 2, 16, 22, 16, 4)
                      + b"\1\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"),
    "odd chunk without padding": wav(before=LIST[:-1]),
}  # fmt: skip


@pytest.mark.parametrize("name", [*PIPES, *MISTAKEN, *FINE])
def test_all_sound_of_a_wav_is_read_whatever_its_lengths_say(tmp_path, name):
    path = tmp_path / "a.wav"
    path.write_bytes({**PIPES, **MISTAKEN, **FINE}[name])
    info = sound_info(path)
    assert (info.num_samples, info.sample_rate, info.num_channels) == (len(SAMPLES), 16000, 1)
    assert info.open_ended == (name in PIPES) and bool(info.note) == (name in MISTAKEN), info.note
    assert np.array_equal(read_sound(path)[0][:, 0] * 32768, SAMPLES)
    content = with_right_header(path)
    if name in PIPES or name in MISTAKEN:
        path.write_bytes(content)
        assert with_right_header(path) is None and not sound_info(path).open_ended and not sound_info(path).note
        assert struct.unpack("<I", content[4:8])[0] == len(content) - 8
        assert np.array_equal(soundfile.read(path, dtype="int16")[0], SAMPLES)


@pytest.mark.parametrize(
    "content, seconds",
    [(wav()[:-400], "0.49 s of 0.50 s"), (wav()[: N // 2 + 44], "0.25 s of 0.50 s"), (wav(after=LIST)[: N // 2], "0.25 s of"),
     (wav(OPEN, OPEN, before=ds64(N + 130, N), magic=b"RF64")[:-8000], "0.25 s of 0.50 s"), (wav(3 * N, 3 * N + 36), "0.50 s of 1.50 s")],
)  # fmt: skip
def test_a_wav_that_is_cut_short_is_refused(tmp_path, content, seconds):
    (tmp_path / "a.wav").write_bytes(content)
    for read in (read_sound, sound_info, with_right_header):
        with pytest.raises(ValueError, match=f"a.wav: byte .*the file ends after {seconds}.*copy or export it again"):
            read(tmp_path / "a.wav")


def test_a_wav_whose_header_counts_too_little_or_nothing(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(N // 2, N // 2 + 36))
    info = sound_info(path)
    assert info.num_samples == len(SAMPLES) // 2 and info.note.startswith("0.25 s of data follow")
    for empty in (wav(sound=b""), wav(0, sound=b"", after=LIST), wav(OPEN, OPEN, sound=b"")):
        path.write_bytes(empty)
        assert sound_info(path).num_samples == 0 and read_sound(path)[0].shape == (0, 1)


def test_a_flac_from_a_pipe_is_read_to_its_end(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, np.tile(SAMPLES, 20), 16000)
    data = bytearray(path.read_bytes())
    whole = sound_info(path)
    data[21:26] = bytes([data[21] & 0xF0, 0, 0, 0, 0])  # the number of samples
    path.write_bytes(data)
    info = sound_info(path)
    assert info.open_ended and info.num_samples == whole.num_samples == 20 * len(SAMPLES)
    assert np.array_equal(read_sound(path)[0][:, 0] * 32768, np.tile(SAMPLES, 20))
    path.write_bytes(with_right_header(path))
    assert sound_info(path) == whole


@pytest.mark.parametrize(
    "array",
    [
        np.float32(3),
        np.zeros((0, 3)),
        np.arange(12.0).reshape(3, 4).T,
        np.arange(24, dtype=">i4").reshape(2, 3, 4)[:, ::2],
        np.zeros((4, 0), np.float32),
        np.arange(90000, dtype=np.float32).reshape(9000, 10)[:, 1:7].reshape(9000, 2, 3),
    ],
)
def test_npy_holds_any_view_in_c_order(array, tmp_path, monkeypatch):
    monkeypatch.setattr("audio2face.formats.npy.BLOCK_BYTES", 1000)
    write_npy(tmp_path / "a.npy", array)
    found = np.load(tmp_path / "a.npy")
    assert found.dtype == array.dtype and found.flags.c_contiguous
    np.testing.assert_array_equal(found, array)


def test_npy_refuses_python_objects(tmp_path):
    with pytest.raises(ValueError, match=r"a\.npy: expected numbers"):
        write_npy(tmp_path / "a.npy", np.array([None]))
    assert not list(tmp_path.iterdir())


# --- git-lfs


@pytest.mark.parametrize(
    "read, name",
    [
        (read_animation, "a.npy"),
        (read_animation, "a.xml"),
        (open_chunks, "a.mcx"),
        (animation_header, "a.pc2"),
        (read_npz, "a.npz"),
        (read_json, "a.json"),
        (read_sound, "a.wav"),
        (sound_info, "a.flac"),
        (read_gltf, "a.glb"),
        (read_gltf_rig, "a.gltf"),
        (read_obj, "a.obj"),
        (read_ply, "a.ply"),
        (read_arkit_csv, "a.csv"),
        (read_phoneme_times, "a.TextGrid"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_every_reader_knows_a_pointer_of_git_lfs(tmp_path, read, name):
    (tmp_path / ".git").mkdir()
    path = tmp_path / "data" / name
    path.parent.mkdir()
    path.write_text(POINTER)
    with pytest.raises(ValueError) as caught:
        read(path)
    assert str(caught.value) == f"{path}: a git-lfs pointer, not the file itself; run 'git lfs pull' in {tmp_path}"


def test_the_data_file_of_a_maya_cache_that_was_not_fetched(tmp_path):
    _, data = write_maya_cache(tmp_path / "a.xml", mesh(), 30.0, "face")
    data.write_text(POINTER)
    with pytest.raises(ValueError, match=r"a\.mc: a git-lfs pointer"):
        animation_header(tmp_path / "a.xml")


def test_pointers_are_counted_by_checkout(tmp_path, monkeypatch):
    for place in ("one/.git/HEAD", "one/a/x.npy", "one/a/b/y.wav", "two/.git/HEAD", "two/z.npy", "two/whole.npy"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(POINTER if "HEAD" not in place else "")
    (tmp_path / "two/whole.npy").write_bytes(POINTER.encode() + bytes(1024))
    one, two = tmp_path / "one", tmp_path / "two"
    assert pointer_problems([one / "a", two / "z.npy", two / "whole.npy", two / "not_there"]) == [
        f"{one}: 2 files are git-lfs pointers, still without content (a/x.npy); run 'git lfs pull' in {one}",
        f"{two}: a file is a git-lfs pointer, still without content (z.npy); run 'git lfs pull' in {two}",
    ]
    monkeypatch.chdir(two)
    assert pointer_problems([Path("z.npy")]) == pointer_problems([two / "z.npy"])
