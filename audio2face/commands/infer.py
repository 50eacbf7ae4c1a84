"""`run_inference.py`: animate the face from sound with a training run, without the runtime. Needs only the run."""

from __future__ import annotations

import logging
from typing import Any

from audio2face import runtime as runtimes
from audio2face.commands.find_run import find_training_folder, find_training_run, post_configs, train_section
from audio2face.config import Section, load_config, section_from_values
from audio2face.inference.edit.job import EditJob, build_edit_job
from audio2face.inference.job import InferenceJob, SecondRun, build_job
from audio2face.paths import external_path, local_path
from audio2face.problems import UserError
from audio2face.runs.run_dir import FULL_NAME, LATEST, final_path, write_provenance, writing_run
from audio2face.runs.train_run import load_train_run

logger = logging.getLogger(__name__)

SHARED = ("NUM_SAMPLES", "RNG_SEED_INFERENCE")  # keys that hold for a second run too


def run(config_name: str, run_name: str, **overrides: Any) -> str:
    """Animate AUDIO_PATH with training run `run_name` (or `latest`) into INFERENCE_OUTPUT_ROOT; returns the new run's name.

    `overrides` replace keys of config_inference. Raises UserError for mistakes in the config or the sound files, before
    any folder is made.
    """
    train = train_section(config_name, run_name)
    training_run = find_training_run(config_name, run_name, train)
    network_type = training_run.spec.network_type
    section = load_config(config_name, (), optional=("inference",), network_type=network_type)["inference"]
    configs = post_configs(section, training_run)
    if overrides:
        own = section.modifier
        given = {k: {**own.get(k, {}), **v} if isinstance(v, dict) else v for k, v in overrides.items()}
        section = section_from_values("inference", {**own, **given}, network_type)
    plain = build_job(section, training_run, configs, _second_run(config_name, section, train))
    edits = bool(section.values.get("EDIT", {}).get("file"))
    job: InferenceJob | EditJob = build_edit_job(section, plain) if edits else plain
    runtime = runtimes.start()
    match = FULL_NAME.match(training_run.name)
    root, name = local_path(section.INFERENCE_OUTPUT_ROOT), match[2] if match else training_run.name
    with writing_run(root, name, "inference", keep=True) as folder:
        runtimes.setup_logging(folder / "log.log")
        made_with: dict[str, Any] = {"training_run_info": {"training_run_name_full": training_run.name}}
        if plain.head is not None:
            made_with["training_run_info"]["head_run_name_full"] = plain.head.run.name
        write_provenance(folder, {"inference": section}, "", made_with)
        job.write(folder, runtime.device)
    folder = final_path(folder)
    logger.info("animations: %s", external_path(folder))
    return folder.name


def _second_run(config_name: str, section: Section, train: Section) -> SecondRun | None:
    """The run that HEAD_RUN names. It animates with the defaults of its kind of network, and the takes and seed of the first."""
    if section.HEAD_RUN is None:
        return None
    if section.HEAD_RUN == LATEST:
        raise UserError("HEAD_RUN: latest is the run itself; give the full name of the run that moves the head")
    run = load_train_run(find_training_folder(config_name, section.HEAD_RUN, train))
    base = section_from_values("inference", {}, run.spec.network_type)
    shared = {key: section.values[key] for key in SHARED if key in section.values and key in base.values}
    own = section_from_values("inference", shared, run.spec.network_type)
    return SecondRun(run, own, post_configs(own, run))
