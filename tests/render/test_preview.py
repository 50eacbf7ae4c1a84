"""Previews of curves: a film, still pictures, and the opening of the jaw."""

import numpy as np
import pytest

from audio2face.render.curves_film import Take
from audio2face.render.preview import draw_curves_preview

SOUND = (np.zeros(8000, np.float32), 16000)


def take(count, names=("jawOpen",)):
    weights = np.repeat(np.linspace(0, 1, count)[:, None], len(names), axis=1)
    return Take(weights=weights, names=names, rotation=np.repeat(np.eye(3)[None], count, axis=0))


def test_a_preview_of_curves(tmp_path):
    av = pytest.importorskip("av")
    pytest.importorskip("PIL")
    pictures = draw_curves_preview(tmp_path / "epoch_001", "shot", take(8), take(8), 60.0, SOUND)
    assert sorted(pictures) == ["face", "jaw_opening"]
    with av.open(str(tmp_path / "epoch_001.mp4")) as film:
        shown = [f.to_ndarray(format="rgb24") for f in film.decode(video=0)]
    assert len(shown) == 4 and shown[0].shape == (352 + 28, 2 * 224, 3)
    assert (tmp_path / "epoch_001.png").stat().st_size > 1000
    assert pictures["face"].shape == (2 * 176, 7 * 112, 3)
    other = draw_curves_preview(
        tmp_path / "b", "shot", take(2, ("browInnerUp",)), take(2, ("browInnerUp",)), 30.0, SOUND
    )
    assert sorted(other) == ["face"]
    with pytest.raises(ValueError):
        draw_curves_preview(tmp_path / "c", "shot", take(3), take(2), 30.0, SOUND)
