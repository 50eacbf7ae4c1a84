"""Deployed models without PyTorch: one-shot against stream against the runtime's rules, and folders that lie."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from fakes import model as fake_model
from fakes.timeline import regression_samples

import audio2face
from audio2face import feed_together, load_model
from audio2face.audio.resampler import Resampler
from audio2face.audio.waveform import resample
from audio2face.formats.sound import write_sound
from audio2face.inference.face_animation import join
from audio2face.models.diffusion.engine import DiffusionEngine
from audio2face.models.regression.engine import RegressionEngine
from audio2face.problems import UserError
from audio2face.runs.manifest import write_manifest

RATE = 16000
FIELDS = ("times_s", "skin", "tongue", "jaw", "eyes", "weights")


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    return load_model(fake_model.regression_model(tmp_path_factory.mktemp("models") / "regression"), threads=1)


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory):
    return load_model(fake_model.diffusion_model(tmp_path_factory.mktemp("models") / "diffusion"), threads=1)


def speech(seconds, rate=RATE, seed=0):
    count = round(seconds * rate)
    return (np.random.default_rng(seed).normal(size=count) * 0.2 * np.sin(np.arange(count) / 3000)).astype(np.float32)


def streamed(session, samples, sizes):
    pieces, first = [], 0
    for size in sizes:
        pieces.append(session.feed(samples[first : first + size]))
        first += size
    pieces.append(session.feed(samples[first:]))
    return join([*pieces, session.finish()]), pieces


def assert_same(a, b):
    for name in FIELDS:
        left, right = getattr(a, name), getattr(b, name)
        assert left.shape == right.shape, name
        np.testing.assert_allclose(left, right, atol=2e-4, err_msg=name)


SIZES = {"one by one": [1] * 50 + [300], "small": [160] * 5, "odd": [777, 1, 0, 300, 13], "at once": []}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("rate", [RATE, 22050, 48000])
def test_a_stream_gives_what_one_call_gives(regression, sizes, rate):
    samples = speech(0.3, rate)
    options = {"emotion": [(0.0, "joy"), (0.2, "anger")], "fps": 60, "peak": 0.5}
    whole = regression.animate(samples, rate, **options)
    pieces, _ = streamed(regression.stream(rate, **options), samples, sizes)
    assert_same(pieces, whole)


def test_a_diffusion_model_is_asked_for_another_rate(diffusion):
    samples = speech(0.05)
    whole = diffusion.animate(samples, RATE, actor="a")
    slow = diffusion.animate(samples, RATE, actor="a", fps=500)
    step = round(whole.fps) // 500
    assert slow.fps == 500 and len(slow) == -(-len(whole) // step)
    np.testing.assert_allclose(slow.skin, whole.skin[::step], atol=1e-6)
    np.testing.assert_allclose(slow.times_s, whole.times_s[::step], atol=1e-9)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("constant", [True, False])
def test_a_diffusion_stream_gives_what_one_call_gives(diffusion, sizes, constant):
    samples = speech(0.08)
    options = {"emotion": "joy", "actor": "b", "seed": 3, "constant_noise": constant, "peak": 0.5}
    whole = diffusion.animate(samples, RATE, **options)
    pieces, _ = streamed(diffusion.stream(**options), samples, sizes)
    assert_same(pieces, whole)
    other = diffusion.animate(samples, RATE, **{**options, "seed": 4})
    assert np.abs(other.skin - whole.skin).max() > 1e-3


def test_frames_come_as_soon_as_they_are_final(regression):
    session, samples = regression.stream(fps=1000), speech(0.05)
    ahead = fake_model.WINDOW - fake_model.WINDOW // 2  # samples after a frame that it hears
    for first in range(0, len(samples), 10):
        session.feed(samples[first : first + 10])
        heard = first + 10
        assert session.num_frames == len([t for t in range(0, heard, 16) if t + ahead <= heard])
    session.finish()
    assert session.num_frames == 50 and session.real_time_factor > 0


def test_time_stamps_are_the_runtimes(regression, diffusion):
    samples = speech(1.0)
    for fps in (30, 60, 29.97):
        times = regression.animate(samples, RATE, fps=fps).times_s * RATE
        number, per = (30, 1) if fps == 30 else (60, 1) if fps == 60 else (2997, 100)
        np.testing.assert_allclose(times, regression_samples(len(samples), RATE, number, per))
    frames = diffusion.animate(samples[:1000], RATE, actor="a")
    assert frames.fps == 4000 and frames.times_s[0] == 0 and len(frames) == 250


def test_memory_does_not_grow(regression, diffusion):
    for session in (regression.stream(geometry=False), diffusion.stream(actor="a", geometry=False)):
        sizes = []
        for seed in range(10):
            piece = session.feed(speech(0.03, seed=seed))
            assert piece.skin.shape[0] == 0 and len(piece.weights) == len(piece)
            sizes.append(len(session._audio._samples))
        assert max(sizes) < 700 and session._audio._start > 0


def test_level_emotion_and_names(regression):
    samples = speech(0.3)
    loud = regression.animate(samples * 3, RATE)
    np.testing.assert_allclose(loud.skin, regression.animate(samples, RATE).skin, atol=1e-4)
    stereo = np.stack([samples, samples], axis=1)
    assert_same(regression.animate(stereo, RATE), regression.animate(samples, RATE))
    whole = (samples / np.abs(samples).max() * 32767).astype(np.int16)
    np.testing.assert_allclose(regression.animate(whole, RATE).skin, loud.skin, atol=1e-2)
    joy = regression.animate(samples, RATE, emotion={"joy": 1.0})
    np.testing.assert_array_equal(joy.skin, regression.animate(samples, RATE, emotion=[1, 0, 0]).skin)
    assert np.abs(joy.skin - loud.skin).max() > 1e-4
    np.testing.assert_array_equal(regression.animate(samples, RATE, emotion="neutral").skin.shape, joy.skin.shape)
    assert regression.emotions == ("joy", "anger", "sadness") and regression.actors == ("a",)
    poses = fake_model.POSES
    assert loud.names == (*poses, *(f"tongue_{name}" for name in poses))
    np.testing.assert_array_equal(loud.blendshapes["jawOpen"], loud.weights[:, 0])
    assert 0 < loud.real_time_factor < 100


def layouts(samples):
    """The same sound as other libraries hold it; int16 is what all can hold."""
    import torch

    both = np.stack([samples, samples], axis=1)
    integers = {
        "int8": (samples >> 8).astype(np.int8),
        "uint8": ((samples >> 8) + 128).astype(np.uint8),
        "int16": samples,
        "uint16": (samples.astype(np.int32) + 32768).astype(np.uint16),
        "int32": samples.astype(np.int32) << 16,
        "24 bits in 32, to the left": (samples.astype(np.int32) << 8) << 8,
        "uint32": ((samples.astype(np.int64) << 16) + (1 << 31)).astype(np.uint32),
        "big endian": samples.astype(">i2"),
    }
    floats = (samples / np.float32(32768)).astype(np.float32)
    return integers | {
        "float64": floats.astype(np.float64),
        "float16": floats.astype(np.float16),
        "list": floats.tolist(),
        "one column": samples[:, None],
        "one row": samples[None],
        "channels last": both,
        "channels first": both.T,
        "six channels first": np.repeat(samples[None], 6, axis=0),
        "tensor": torch.from_numpy(floats),
        "tensor of 16 bits": torch.from_numpy(samples),
        "tensor with gradients, channels first": torch.from_numpy(both.T / np.float32(32768)).requires_grad_(),
        "bfloat16": torch.from_numpy(floats).bfloat16(),
    }


@pytest.mark.parametrize("name", layouts(np.zeros(9, np.int16)))
def test_arrays_in_the_layouts_of_other_libraries(regression, name):
    samples = (speech(0.3) * 32768).astype(np.int16)
    given, coarse = layouts(samples)[name], {"int8": 2, "uint8": 2, "bfloat16": 2}.get(name, 1)
    whole = regression.animate(samples / 32768, RATE, peak=0.5)
    for animation in (
        regression.animate(given, RATE, peak=0.5),
        join([(session := regression.stream(peak=0.5)).feed(given), session.finish()]),
    ):
        assert animation.skin.shape == whole.skin.shape == (9, fake_model.V, 3)
        np.testing.assert_allclose(animation.skin, whole.skin, atol=(2e-4, 0.05)[coarse - 1] * np.ptp(whole.skin))


def test_pieces_of_a_few_samples_keep_their_channels(regression):
    samples = np.stack([speech(0.05), speech(0.05, seed=1)], axis=1)
    whole = regression.animate(samples, RATE, peak=0.5)
    assert_same(streamed(regression.stream(peak=0.5), samples, [1] * 40 + [2] * 20 + [5])[0], whole)


def test_ambiguous_arrays_are_refused(regression):
    samples = (speech(0.3) * 32768).astype(np.int16)
    for given, words in (
        (samples.astype(np.int64), "int64 has no usual scale.*32768"),
        (samples.tolist(), "int64 has no usual scale"),
        (samples[None, None], r"\(channels, N\), got \(1, 1, 4800\)"),
        (np.zeros((48, 100)), "neither number is one of channels"),
        ((samples, RATE), "a pair .samples, rate. is given as two arguments"),
        (samples > 0, "of bool"),
        (samples * 1j, "of complex"),
        ("x" * 9, "No such file"),
        (None, "expected samples"),
        (3.0, "expected samples"),
    ):
        with pytest.raises(UserError, match=words):
            regression.animate(given, RATE)
        if not isinstance(given, str):
            with pytest.raises(UserError, match=words):
                regression.stream().feed(given)
    for narrow in (samples.astype(np.int32), samples.astype(np.int32) * 100):
        with pytest.raises(UserError, match="16 or 24 bits, divide by 32768 or 8388608"):
            regression.animate(narrow, RATE)
        assert len(regression.animate(narrow, RATE, peak=1.0)) == 9
    session = regression.stream()
    with pytest.raises(UserError, match="times what the stream expects.*peak="):
        session.feed(samples.astype(np.float32))
    assert_same(regression.animate(samples.astype(np.float32), RATE), regression.animate(samples / 32768, RATE))
    assert len(session.feed(samples)) and len(regression.stream(peak=32768).feed(samples.astype(np.float32)))


def test_sound_that_is_hard_to_understand_is_reported(regression, tmp_path, caplog):
    samples = speech(0.2, 8000)
    write_sound(tmp_path / "a.wav", np.stack([samples, -samples], axis=1), 8000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[40:44] = (len(content)).to_bytes(4, "little")  # the file's length for that of its sound
    (tmp_path / "a.wav").write_bytes(content)
    assert len(regression.animate(tmp_path / "a.wav")) == 6
    for words in (
        "a.wav: 8000 Hz hold no high",
        "a.wav: the channels are in opposite phase",
        "a.wav: the header declares",
    ):
        assert words in caplog.text
    caplog.clear()
    regression.animate(np.stack([samples, -samples]), 8000)
    assert "sound: 8000 Hz" in caplog.text and "sound: the channels are in opposite phase" in caplog.text
    caplog.clear()
    regression.animate(speech(0.2), RATE)
    assert not caplog.text


def test_files_go_in_and_come_out(regression, tmp_path):
    write_sound(tmp_path / "a.wav", speech(0.2), RATE)
    animation = regression.animate(tmp_path / "a.wav")
    for name in ("a.csv", "a.json"):
        assert [p.name for p in animation.write(tmp_path / name)] == [name]
    assert animation.write(tmp_path / "b.pc2", kind="pc2") == [tmp_path / "b.pc2"]
    with pytest.raises(UserError, match="SKIN_TRIANGLES_FPATH"):
        animation.write(tmp_path / "a.glb")
    with pytest.raises(UserError, match="unknown format"):
        animation.write(tmp_path / "a.fbx")
    silent = regression.animate(np.zeros(0), RATE)
    assert len(silent) == 0 and np.isnan(silent.real_time_factor)


def test_mistakes_are_told(regression, diffusion):
    samples = speech(0.1)
    for options, message in (
        ({"emotion": "jay"}, "did you mean 'joy'"),
        ({"emotion": [1, 2]}, "expected 3 finite weights"),
        ({"emotion": [(1, "joy"), (0, "joy")]}, "must increase"),
        ({"actor": "eve"}, "knows a"),
        ({"fps": 0}, "fps"),
        ({"fps": "fast"}, "fps 'fast' is not a finite number"),
        ({"peak": -1.0}, "peak"),
    ):
        with pytest.raises(UserError, match=message):
            regression.animate(samples, RATE, **options)
    with pytest.raises(UserError, match="actor is not given.*a, b"):
        diffusion.animate(samples, RATE)
    with pytest.raises(UserError, match="4000 frames"):
        diffusion.stream(RATE, actor="a", fps=30)
    with pytest.raises(UserError, match="sample_rate"):
        regression.animate(samples)
    with pytest.raises(audio2face.UserError, match="^nowhere.wav: No such file"):
        regression.animate("nowhere.wav")
    session = regression.stream()
    with pytest.raises(UserError, match="finite"):
        session.feed(np.array([np.nan]))
    session.finish()
    with pytest.raises(UserError, match="finished"):
        session.feed(samples)


@pytest.mark.parametrize(
    "value", [0, -16000, True, 1, 16_000_001, 999_999, 22050.5, np.inf, np.nan, "16000", None, 10**400]
)
def test_rates_that_cannot_be_are_refused_by_name(regression, value):
    for refuse in (lambda: regression.stream(value), lambda: regression.animate(speech(0.01), value)):
        if value is not None:
            with pytest.raises(UserError, match="^sample_rate"):
                refuse()
    assert regression.stream(None) and regression.stream(np.int64(16000)) and regression.stream(16000.0)


@pytest.mark.parametrize(
    ("argument", "values"),
    {
        "fps": (1e-9, -1, np.inf, np.nan, True, "x", 10**400, 1e9),
        "peak": (1e-40, 0, -1, np.inf, np.nan, True, "x", None, 1e38, 10**400),
        "strength": (-1, np.nan, "x", 1e38),
        "blink_offset": (2, np.nan, "x"),
        "seed": (-1, 1.5, "x", True, 1 << 64),
        "actor": (["a"], {}, 3),
        "emotion": (
            {"joy": 1e38}, {"joy": "x"}, {"joy": np.nan}, {"joy": None}, {"joy": 10**400}, [1e38, 0, 0], ["x", 0, 0], 7, {3: 1},
            [(np.nan, "joy"), (1, "joy")], [(np.inf, "joy")], [("x", "joy")], [(1e300, "joy")], [(None, "joy")], [(0, 1e38)],
            [(0, {"joy": "x"})], [(0, "joy"), (0, "joy")],
        ),
    }.items(),
)  # fmt: skip
def test_numbers_that_cannot_be_are_refused_by_name(regression, argument, values):
    for value in values:
        if not (value is None and argument in ("fps", "strength")):
            with pytest.raises(UserError, match=f"^{argument}"):
                regression.stream(**{argument: value})


def test_a_stream_in_use_by_another_thread_is_refused_and_unchanged(regression):
    inside, go_on = threading.Event(), threading.Event()

    def slow(moments):  # holds the stream in the middle of its work
        inside.set()
        assert go_on.wait(20)
        return np.zeros((len(moments), 3), np.float32)

    sound, found = speech(0.3), []
    session, other = regression.stream(emotion=slow), regression.stream()
    thread = threading.Thread(target=lambda: found.append(session.feed(sound)))
    thread.start()
    assert inside.wait(20)
    for refuse in (
        lambda: session.feed(sound),
        session.finish,
        lambda: feed_together([other, session], [sound, sound]),
    ):
        with pytest.raises(UserError, match="in use by another thread: this sound was not taken"):
            refuse()
    go_on.set()
    thread.join()
    whole = join([*found, session.feed(sound), session.finish()])
    expected = regression.stream(emotion=[0, 0, 0])
    assert_same(whole, join([expected.feed(sound), expected.feed(sound), expected.finish()]))
    assert_same(join([other.feed(sound), other.finish()]), regression.animate(sound, RATE, peak=1.0))


def test_numbers_too_small_to_be_heard_reach_no_network(regression, diffusion, monkeypatch):
    for model, network in ((regression, RegressionEngine), (diffusion, DiffusionEngine)):
        seen, plain = [], network.next_feeds

        def watched(engine, audio, closed, plain=plain, seen=seen):
            feeds = plain(engine, audio, closed)
            seen.extend([] if feeds is None else feeds.values())
            return feeds

        monkeypatch.setattr(network, "next_feeds", watched)
        decay = (speech(0.5, 48000) * np.exp(-np.arange(24000) / 150)).astype(np.float32)  # to 1e-70
        for sound in (decay, speech(0.5, 48000) * np.float32(1e-30), np.full(24000, 1e-42, np.float32)):
            session = model.stream(48000, actor="a", peak=0.5)
            session.feed(sound)
            session.finish()
        assert seen and all((np.abs(x[x != 0]) > 1e-16).all() for x in seen)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e38, "shape", "text"])
def test_an_emotion_function_is_checked_frame_by_frame(regression, wrong):
    def curve(moments):
        table = np.zeros((len(moments), 3), np.float32)
        return table[:, :2] if wrong == "shape" else table.astype(str) if wrong == "text" else table + wrong

    with pytest.raises(UserError, match="^emotion: "):
        regression.stream(emotion=curve).feed(speech(0.5))
    assert len(regression.stream(emotion=lambda moments: np.ones((len(moments), 3), np.float32)).feed(speech(0.5)))


def test_a_file_that_was_damaged_is_named_and_not_what_follows_from_it(tmp_path):
    folder = fake_model.regression_model(tmp_path / "m")
    write_manifest(folder)
    (folder / "network.onnx").write_bytes(b"x" * (folder / "network.onnx").stat().st_size)
    with pytest.raises(UserError) as error:
        load_model(folder)
    [line] = error.value.lines
    assert "network.onnx was changed: its content is not what was written; copy it again or deploy it again" in line


def test_a_folder_is_not_trusted(tmp_path):
    with pytest.raises(UserError, match="not a folder"):
        load_model(tmp_path / "none")
    with pytest.raises(UserError, match="model.json"):
        load_model(tmp_path)
    folder = fake_model.regression_model(tmp_path / "m")
    data = dict(np.load(folder / "model_data.npz"))
    np.savez(folder / "model_data.npz", **data | {"neutral_jaw": np.array([{"a": 1}], object)})
    with pytest.raises(UserError, match="not a valid model"):
        load_model(folder)
    np.savez(folder / "model_data.npz", **data)
    load_model(folder)
    (folder / "model_data.npz").rename(tmp_path / "model_data.npz")
    fake_model.edit_json(folder / "model.json", "modelDataPath", value="../model_data.npz")
    with pytest.raises(UserError, match="outside the model's folder"):
        load_model(folder)
    (folder / "network.onnx").unlink()
    with pytest.raises(UserError, match="network.onnx"):
        load_model(folder)


def test_a_folder_of_actors(tmp_path):
    for name in ("ada", "bob"):
        folder = fake_model.regression_model(tmp_path / "both" / name)
        fake_model.edit_json(folder / "network_info.json", "id", "actor", value=name)
    model = load_model(tmp_path / "both")
    assert model.actors == ("ada", "bob")
    assert len(model.animate(speech(0.1), RATE, actor="bob")) == 3


@pytest.mark.parametrize(("source", "target"), [(48000, 16000), (22050, 16000), (8000, 16000), (16000, 16000)])
def test_resampling_in_pieces(source, target):
    samples = speech(0.5, source)
    rng, first, pieces, resampler = np.random.default_rng(0), 0, [], Resampler(source, target)
    while first < len(samples):
        size = int(rng.integers(0, 900))
        pieces.append(resampler.feed(samples[first : first + size]))
        first += size
    pieces.append(resampler.finish())
    np.testing.assert_allclose(np.concatenate(pieces), resample(samples, source, target), atol=1e-6)


def test_needs_only_numpy_onnxruntime_and_soundfile(tmp_path):
    fake_model.regression_model(tmp_path / "m")
    write_sound(tmp_path / "a.wav", speech(0.2, 22050), 22050)
    script = f"""
import sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {{"torch", "scipy", "pydantic", "transformers", "onnx", "tqdm", "sklearn", "pxr", "av", "dotenv"}}:
            raise ImportError("forbidden: " + name)
sys.meta_path.insert(0, Forbid())
import audio2face
assert "numpy" not in sys.modules
model = audio2face.load_model({str(tmp_path / "m")!r}, threads=1)
animation = model.animate({str(tmp_path / "a.wav")!r}, emotion="joy")
animation.write({str(tmp_path / "a.csv")!r})
print(len(animation))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "6", done.stderr
