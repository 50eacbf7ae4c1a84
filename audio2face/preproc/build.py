"""Builds a preprocessing run from captured data: the stages, taken over from earlier runs where they still hold."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from audio2face.config import Section
from audio2face.dataset.caches import open_sequences
from audio2face.dataset.captured import CapturedActor
from audio2face.dataset.shots import clip_rows
from audio2face.face.channels_file import write_channels
from audio2face.face.codec import FaceCodec
from audio2face.face.topology import TRIANGLES_FILE, write_topology
from audio2face.geometry.poses import GIB
from audio2face.preproc.basis import BasisSettings, MeshBasis
from audio2face.preproc.bundle import Bundle, Placeholders, build_bundle
from audio2face.preproc.curves import build_channel, curve_table
from audio2face.preproc.skin import build_skin
from audio2face.preproc.stage_cache import StageCache
from audio2face.preproc.summary import summary
from audio2face.preproc.tongue import build_tongue, still_mesh
from audio2face.runs.preproc_run import clips_text, save_basis, save_blendshapes, save_curves, save_deploy

logger = logging.getLogger(__name__)

STILL_SKIN = (1, 2, 3)  # components, vertices: stands in for a skin
STILL_REST = np.array([[0, -0.5, 0], [0, 0.5, 0]], np.float32)  # two points, so that there is an up and a down


def build_run(folder: Path, inputs: CapturedActor, dataset: Section, preproc: Section, cache: StageCache) -> None:
    """Compute everything, or take over from earlier runs what still holds, and write the run into `folder`."""
    actor = inputs.files.actor
    components = preproc.CURVES_COMPONENTS.get(actor, {})
    with tempfile.TemporaryDirectory(dir=folder, prefix=".decoded_") as scratch:
        skin = _build_skin(inputs, preproc, Path(scratch), cache)
        tongue = _build_tongue(inputs, preproc, Path(scratch), cache)
    for mesh, basis in (("skin", skin), ("tongue", tongue)):
        save_basis(folder, mesh, basis.fit.pca, basis.coeffs, basis.stages)
    cache.write(folder)
    _log_missing(inputs)
    bundle = _build_bundle(inputs, skin, tongue, dataset, preproc)
    clips = clip_rows(inputs.shots, inputs.files, dataset.SHOT_LANGUAGE_MAP)
    save_deploy(folder, bundle.network_data, bundle.data_info, bundle.mean_geometry, inputs.shots, clips)
    jaw, eye = inputs.files.jaw_anim_data_fpath, inputs.files.eye_anim_data_fpath
    there = {"skin": inputs.skin, "tongue": inputs.tongue, "jaw": jaw, "eye": eye}
    face = bundle.codec([part for part, found in there.items() if found])
    built = {name: build_channel(captured, components.get(name)) for name, captured in inputs.curves.items()}
    groups, values = [pair[0] for pair in built.values()], {name: pair[1] for name, pair in built.items()}
    write_channels(folder / "deploy", FaceCodec((*face.channels, *groups)))
    save_curves(folder, values)
    if inputs.topology:
        write_topology(folder / "deploy" / TRIANGLES_FILE, inputs.topology)
    for mesh, (arrays, config) in inputs.blendshapes.items():
        save_blendshapes(folder, mesh, actor, arrays, config)
    logger.info("clips to paste into config_train.py, or leave CLIPS empty to use them all:\n%s", clips_text(clips))
    mm_per_unit = 1000 / float(dataset.UNITS_PER_METRE)
    logger.info("%s", summary(inputs.shots, skin, tongue if inputs.tongue else None, mm_per_unit))
    if groups:
        logger.info("%s", curve_table(groups, values))


def _build_bundle(
    inputs: CapturedActor, skin: MeshBasis, tongue: MeshBasis, dataset: Section, preproc: Section
) -> Bundle:
    placeholders = Placeholders(
        tuple(preproc.DEFAULT_JAW_KEYPOINTS_SHAPE),
        tuple(preproc.DEFAULT_EYE_BLINK_KEYS_SHAPE),
        tuple(preproc.DEFAULT_EYE_SACCADE_ROT_SHAPE),
    )
    factors = dataset.TRANSFORM_SCALE.get(inputs.files.actor, {})
    units = float(dataset.UNITS_PER_METRE)
    rest = inputs.rest if inputs.skin else replace(inputs.rest, skin_neutral=STILL_REST)
    return build_bundle(skin.fit.pca, tongue.fit.pca, rest, placeholders, factors, units)


def _build_settings(preproc: Section, mesh: str, actor: str, scratch: Path) -> BasisSettings:
    return BasisSettings(
        float(getattr(preproc, f"{mesh}_PRUNE_SIM_DIST")),
        float(getattr(preproc, f"{mesh}_PCA_VARIANCE_THRESHOLD")),
        getattr(preproc, f"{mesh}_FORCE_COMPONENTS").get(actor),
        float(preproc.PREPROC_MEMORY_GB) * GIB,
        scratch,
    )


def _build_skin(inputs: CapturedActor, preproc: Section, scratch: Path, cache: StageCache) -> MeshBasis:
    settings = _build_settings(preproc, "SKIN", inputs.files.actor, scratch)
    rounds = preproc.SKIN_SELECT_DISTINCT_MAX_ITER
    same = all(inputs.skin[shot] == chosen for shot, chosen in inputs.choosing.items())
    frames = sum(sequence.num_frames for sequence in inputs.skin.values())
    if not inputs.skin:
        logger.warning(
            "actor %s has no skin: what needs one (lip losses, the runtime's model) is off", inputs.files.actor
        )
        return still_mesh(STILL_SKIN, {shot.name: shot.num_frames for shot in inputs.shots})
    logger.info("skin: %d shots, %d frames of %d vertices", len(inputs.skin), frames, inputs.num_vertices)

    def compute() -> MeshBasis:
        sequences = open_sequences(inputs.skin, scratch, "skin")
        choosing = (
            [s for s in sequences if s.name in inputs.choosing]
            if same
            else open_sequences(inputs.choosing, scratch, "coarse skin")
        )
        return build_skin(sequences, choosing, inputs.prune_vertices, inputs.skin_neutral, settings, rounds)

    arrays = {"SKIN_PRUNE_MESH_MASK_FPATH": inputs.prune_vertices, "SKIN_NEUTRAL_FPATH": inputs.skin_neutral}
    caches = {"cache": inputs.skin.values(), "coarse cache": () if same else inputs.choosing.values()}
    more = {"SKIN_SELECT_DISTINCT_MAX_ITER": rounds, "SKIN_PRUNE_CACHE_SHOTS": list(inputs.choosing)}
    stage_inputs = cache.inputs("SKIN", settings, arrays, caches, **more)
    return cache.get_or_compute("skin", stage_inputs, compute)


def _build_tongue(inputs: CapturedActor, preproc: Section, scratch: Path, cache: StageCache) -> MeshBasis:
    if not inputs.tongue:
        shape = tuple(preproc.DEFAULT_TONGUE_PCA_SHAPE)
        return still_mesh(shape, {shot.name: shot.num_frames for shot in inputs.shots})
    if inputs.rigid_vertices is None:
        logger.warning("no TONGUE_RIGID_VERTEX_LIST_FPATH: the tongue's basis will contain the motion of the jaw")
    settings = _build_settings(preproc, "TONGUE", inputs.files.actor, scratch)

    def compute() -> MeshBasis:
        sequences = open_sequences(inputs.tongue, scratch, "tongue")
        return build_tongue(sequences, inputs.rigid_vertices, inputs.tongue_neutral, settings)

    arrays = {"TONGUE_RIGID_VERTEX_LIST_FPATH": inputs.rigid_vertices, "TONGUE_NEUTRAL_FPATH": inputs.tongue_neutral}
    return cache.get_or_compute(
        "tongue", cache.inputs("TONGUE", settings, arrays, {"cache": inputs.tongue.values()}), compute
    )


def _log_missing(inputs: CapturedActor) -> None:
    """One line of the optional files that an actor lacks, and their replacements."""
    stand_ins = {
        "tongue_cache_root": "a still tongue of zeros",
        "skin_neutral_fpath": "the mean of the chosen poses",
        "skin_lip_open_pose_delta_fpath": "zeros",
        "skin_eye_close_pose_delta_fpath": "zeros (the deployed model cannot blink)",
        "jaw_keypoints_neutral_fpath": "spread points that do not move",
        "eye_blink_keys_fpath": "zeros",
        "eye_saccade_rotations_fpath": "zeros",
    }
    missing = [f"{name.upper()}: {it}" for name, it in stand_ins.items() if getattr(inputs.files, name) is None]
    if missing:
        logger.info(
            "actor %s: optional files not given, and what replaces them: %s", inputs.files.actor, "; ".join(missing)
        )
