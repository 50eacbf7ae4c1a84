"""Post-processing, blendshapes and time line against the runtime's own numbers.

They are in the folder that A2F_GOLDEN_DIR names (skin_60fps.npz, jaw_shapes.npz, ...); else these tests are skipped.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from fakes.timeline import diffusion_timeline, regression_samples

from audio2face.audio.windows import Streaming, cut_windows
from audio2face.face.emotions import emotion_curve
from audio2face.postprocess import blendshapes, chain, eyes, jaw, skin, tongue


def golden(name):
    folder = os.environ.get("A2F_GOLDEN_DIR")
    if not folder:
        pytest.skip("A2F_GOLDEN_DIR does not name a folder of the runtime's numbers")
    return np.load(Path(folder) / f"{name}.npz")


def close(actual, expected, tolerance=None):
    if tolerance is None:
        tolerance = max(1e-5, 1e-6 * float(np.abs(expected).max()))
    np.testing.assert_allclose(np.asarray(actual).reshape(expected.shape), expected, rtol=0, atol=tolerance)


def close_jaw(actual, expected, points, tolerance=5e-5):
    corners = np.concatenate([points, np.ones((len(points), 1), np.float32)], axis=1)
    close(actual[:, :3, :3], expected[:, :3, :3], tolerance)
    close(actual @ corners.T, expected @ corners.T, 2e-4)


@pytest.mark.parametrize("fps", [30, 60])
def test_golden_parts(fps):
    z = golden(f"skin_{fps}fps")
    config = json.loads(str(z["config"]))
    part = skin.build(config, z["neutral"], z["eye_close_pose_delta"], z["lip_open_pose_delta"], z["dt"])
    close(skin.apply(part, z["network"])[0], z["output"])
    z = golden(f"tongue_{fps}fps")
    close(tongue.apply(tongue.build(json.loads(str(z["config"])), z["neutral"]), z["network"]), z["output"])
    z = golden(f"jaw_{fps}fps")
    transforms = jaw.apply(jaw.build(json.loads(str(z["config"])), z["neutral_jaw"]), z["network"])
    close_jaw(transforms, z["output"], z["neutral_jaw"])
    np.testing.assert_array_equal(jaw.flat(z["output"]), z["output_flat"])
    for name in (f"eyes_{fps}fps", f"eyes_wrap_{fps}fps"):
        z = golden(name)
        part = eyes.build(json.loads(str(z["config"])), z["saccade_rot_matrix"], z["dt"])
        close(eyes.apply(part, z["network"])[0], z["output"])


def test_golden_jaw_shapes():
    z = golden("jaw_shapes")
    for i, config in enumerate(z["config"]):
        part = jaw.build(json.loads(str(config)), z["neutral_jaw"][i])
        tolerance = 5e-4 if i == 2 else 5e-5
        close_jaw(jaw.apply(part, z["network"][i]), z["output"][i], z["neutral_jaw"][i], tolerance)


@pytest.mark.parametrize("case", range(11))
def test_golden_limits(case):
    z = golden("limits")
    config, dt = json.loads(str(z["config"][case])), z["dt"][case]
    part = skin.build(config, z["neutral"], z["eye_close_pose_delta"], z["lip_open_pose_delta"], dt)
    close(skin.apply(part, z["skin_network"][case])[0], z["skin_output"][case])
    close(tongue.apply(tongue.build(config, z["tongue_neutral"]), z["tongue_network"][case]), z["tongue_output"][case])
    transforms = jaw.apply(jaw.build(config, z["neutral_jaw"]), z["jaw_network"][case])
    close_jaw(transforms, z["jaw_output"][case], z["neutral_jaw"])
    gaze = eyes.build(config, z["saccade_rot_matrix"], dt)
    close(eyes.apply(gaze, z["eyes_network"][case])[0], z["eyes_output"][case])


@pytest.mark.parametrize("file", ["blendshape_skin", "blendshape_tongue"])
def test_golden_blendshapes(file):
    z = golden(file)
    for i, name in enumerate(z["cases"]):
        config = json.loads(str(z["config"][i]))["blendshape_params"]
        mask = z["frontal_mask"] if z["use_mask"][i] else None
        weights, _ = blendshapes.solve(blendshapes.build(config, z["neutral"], z["deltas"], mask), z["poses"])
        np.testing.assert_allclose(weights, z["weights"][i], rtol=0, atol=5e-4, err_msg=str(name))


@pytest.mark.parametrize("fps", [30, 60])
def test_golden_regression_chain(fps):
    z = golden(f"regression_{fps}fps")
    solvers = {
        f"{name}_solver": blendshapes.build(
            json.loads(str(z[f"{name}_bs_config"]))["blendshape_params"],
            z[f"{name}_bs_neutral"],
            z[f"{name}_bs_deltas"],
            z["skin_bs_mask"] if name == "skin" else None,
        )
        for name in ("skin", "tongue")
    }
    dt = chain.frame_duration_s(fps)
    assert dt == z["dt"]
    face = chain.build(json.loads(str(z["config"])), z, dt, **solvers)
    assert list(face.layout.sizes.values()) == z["split"].tolist()
    frames, _ = chain.apply(face, z["coefficients"])
    for name in ("skin", "tongue", "eyes"):
        close(getattr(frames, name), z[name])
    close_jaw(frames.jaw, z["jaw"], z["neutral_jaw"])
    close(frames.weights, z["weights"], 5e-4)


def windows_of(buffer_len, left, centre, right, padding_left, sample_rate):
    return Streaming(left, centre, right, buffer_len, padding_left, sample_rate)


def observed(starts):
    return starts != np.iinfo(np.int64).min


def test_golden_timestamps():
    z = golden("timestamps")
    for i, (num, den, rate, _, offset, samples) in enumerate(z["regression_cases"].tolist()):
        stamps, starts = regression_samples(samples, rate, num, den), z[f"regression_{i}_starts"]
        np.testing.assert_array_equal(stamps, z[f"regression_{i}_timestamps"])
        np.testing.assert_array_equal((stamps - offset)[observed(starts)], starts[observed(starts)])
    for i, (*setup, samples) in enumerate(z["diffusion_cases"].tolist()):
        track, starts = diffusion_timeline(windows_of(*setup), samples), z[f"diffusion_{i}_starts"]
        assert len(track.starts) == len(starts)
        np.testing.assert_array_equal(track.starts[observed(starts)], starts[observed(starts)])
        np.testing.assert_array_equal(track.samples, z[f"diffusion_{i}_timestamps"])
        np.testing.assert_array_equal(track.centre_samples, z[f"diffusion_{i}_centre_timestamps"])
        np.testing.assert_array_equal(track.source, z[f"diffusion_{i}_source"])


@pytest.mark.parametrize("fps", [30, 60])
def test_golden_network_inputs(fps):
    z = golden(f"inputs_regression_{fps}fps")
    stamps = regression_samples(len(z["audio"]), int(z["samplerate"]), fps)
    np.testing.assert_array_equal(stamps, z["timestamps"])
    windows = cut_windows(z["audio"] * np.float32(z["input_strength"]), stamps - z["buffer_ofs"], int(z["buffer_len"]))
    np.testing.assert_array_equal(windows, z["input"])
    curve = emotion_curve(z["emotion_times"], z["emotion_values"], stamps)
    implicit = np.tile(z["implicit_emotion"], (len(stamps), 1))
    close(np.concatenate([implicit, curve], axis=1), z["emotion"], 1e-6)

    z = golden(f"inputs_diffusion_{fps}fps")
    setup = windows_of(int(z["buffer_len"]), *z["frames"].tolist(), int(z["padding_left"]), int(z["samplerate"]))
    track = diffusion_timeline(setup, len(z["audio"]))
    assert setup.fps == fps
    np.testing.assert_array_equal(track.samples, z["timestamps"])
    np.testing.assert_array_equal(cut_windows(z["audio"], track.starts, setup.window), z["window"])
    close(emotion_curve(z["emotion_times"], z["emotion_values"], track.centre_samples), z["emotion"], 1e-6)
    np.testing.assert_array_equal(z["input_latents"][1:], z["output_latents"][:-1])  # carried, and zero at the start
    assert not z["input_latents"][0].any()
