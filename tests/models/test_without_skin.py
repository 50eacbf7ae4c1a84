"""An actor that was captured without a skin: from preprocessing to inference."""

import numpy as np
import pytest
from fakes.actor import ACTOR, actor
from fakes.project import REGRESSION, use_project, write_configs

from audio2face.commands import deploy, infer, preproc, train
from audio2face.problems import UserError

MOTION = {"TONGUE_CACHE_ROOT", "JAW_ANIM_DATA_FPATH", "EYE_ANIM_DATA_FPATH"}


@pytest.mark.parametrize("kept", [{"TONGUE_CACHE_ROOT"}, {"JAW_ANIM_DATA_FPATH", "EYE_ANIM_DATA_FPATH"}])
@pytest.mark.slow
def test_an_actor_without_skin_trains_and_animates(tmp_path, monkeypatch, caplog, kept):
    face = actor(tmp_path / "datasets" / ACTOR)
    dataset = {k: v for k, v in face.dataset.items() if not k.startswith("SKIN_") and k not in MOTION - kept}
    clips = [(*row[:2], (0, 39), *row[3:]) for row in face.train["CLIPS"]]
    write_configs(
        tmp_path,
        dataset=dataset,
        preproc={key: value for key, value in face.preproc.items() if not key.startswith("SKIN_")},
        train={**face.train, "CLIPS": clips, **REGRESSION, "NUM_EPOCHS": 1},
        inference={"AUDIO_PATH": str(face.sound()), "ACTOR_NAME": ACTOR, "OUTPUT_FORMATS": ["npy"]},
    )
    use_project(tmp_path, monkeypatch)
    preproc.run("tiny", ACTOR)
    name = train.run("tiny")
    name = getattr(name, "run", name)
    assert "LOSS_LIP_DIST_ALPHA is off: it needs the skin of every actor" in caplog.text
    with pytest.raises(UserError, match="has no skin of tiny, and a deployed model needs one"):
        deploy.run("tiny", name)
    folder = tmp_path / "workspace/output_inference" / infer.run("tiny", name, APPLY_POSTPROCESSING=False)
    moves = {path.stem.rsplit("_", 1)[1]: bool(np.ptp(np.load(path), axis=0).any()) for path in folder.rglob("*_*.npy")}
    expected = {part: part in {key.split("_")[0].lower() for key in kept} for part in ("skin", "tongue", "jaw", "eye")}
    assert {part: moves[part] for part in expected} == expected
