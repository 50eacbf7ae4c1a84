"""Run folders: nobody meets, nothing half-written is found, and what was killed is recognised."""

import errno
import os
import subprocess
import sys
from datetime import datetime

import pytest

from audio2face.config import section_from_values
from audio2face.formats.json_file import write_json
from audio2face.paths import external_path
from audio2face.problems import UserError
from audio2face.runs import run_dir
from audio2face.runs.disk import disk_faults, require_space, text_of
from audio2face.runs.run_dir import (
    INCOMPLETE,
    finish_run,
    is_complete,
    is_running,
    new_run,
    publish_run,
    resolve_run,
    resume_run,
    writing_run,
)
from audio2face.training.resume import find_unfinished

CHILD = """
import sys, time
from pathlib import Path
from audio2face.runs.run_dir import new_run, publish_run
folder = new_run(Path(sys.argv[1]), "default")
(folder / "result.npy").write_text("half")
if "publish" in sys.argv:
    folder = publish_run(folder)
print(folder, flush=True)
time.sleep(60)
"""


def killed_writer(root, *options, kill=True):
    """A process that began a run below `root`; killed, or its handle too."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(root), *options], stdout=subprocess.PIPE, text=True)
    folder = child.stdout.readline().strip()
    if kill:
        child.kill()
        child.wait()
    return folder, child


def names(root):
    return sorted(path.name for path in root.iterdir())


def test_a_run_gets_its_name_when_it_is_complete(tmp_path):
    with writing_run(tmp_path, "default", "work") as folder:
        assert folder.name.startswith(".") and is_running(folder)
        assert external_path(folder / "x.npy").endswith(f"{folder.name[1:-8]}/x.npy")
        with pytest.raises(UserError, match="no finished"):
            resolve_run(tmp_path, "latest", what="test")
        (folder / "x.txt").write_text("x")
    found = resolve_run(tmp_path, "latest", what="test", run_name="default")
    assert names(tmp_path) == [found.name] and (found / "x.txt").is_file() and not (found / INCOMPLETE).exists()


def test_two_runs_in_one_second_do_not_meet(tmp_path):
    first, second = new_run(tmp_path, "a"), new_run(tmp_path, "a")
    done = finish_run(first)
    third = new_run(tmp_path, "a")
    assert len({run_dir.final_path(f).name for f in (done, second, third)}) == 3
    assert {finish_run(second), finish_run(third), done} == set(tmp_path.iterdir())


def test_a_failed_run_is_removed_and_results_of_a_kept_one_stay_marked(tmp_path):
    for keep, results in ((False, True), (True, False)):
        with pytest.raises(RuntimeError), writing_run(tmp_path, "default", "work", keep=keep) as folder:
            (folder / "log.log").write_text("")
            if results:
                (folder / "x.npy").write_text("x")
            raise RuntimeError("ours")
    assert not names(tmp_path)
    with pytest.raises(KeyboardInterrupt), writing_run(tmp_path, "default", "work", keep=True) as folder:
        (folder / "x.npy").write_text("x")
        raise KeyboardInterrupt
    [left] = tmp_path.iterdir()
    assert left.name.endswith("_default") and not is_complete(left) and not is_running(tmp_path / left.name / "no")


def test_what_a_killed_process_leaves_is_removed_or_named_and_a_living_one_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(run_dir, "SWEEP_AGE_S", -1.0)
    dead, _ = killed_writer(tmp_path)
    living, child = killed_writer(tmp_path, kill=False)
    try:
        folder = new_run(tmp_path, "default")
        assert not os.path.exists(dead) and os.path.exists(living)
        finish_run(folder)
        dead, _ = killed_writer(tmp_path)
        finish_run(new_run(tmp_path, "default", keep=True))
        named = run_dir.final_path(tmp_path / os.path.basename(dead))
        assert (named / "result.npy").is_file() and not is_complete(named) and os.path.exists(living)
    finally:
        child.kill()
        child.wait()


def test_a_run_belongs_to_one_process_until_it_ends(tmp_path):
    folder, child = killed_writer(tmp_path, "publish", kill=False)
    folder = tmp_path / os.path.basename(folder)
    assert is_running(folder) and not is_complete(folder)
    with pytest.raises(UserError, match="another process"):
        resume_run(folder)
    with pytest.raises(UserError, match="still running.*; do this"):
        resolve_run(tmp_path, folder.name, what="test", hint="; do this")
    child.kill()
    child.wait()
    assert not is_running(folder) and not is_complete(folder)
    for name, words in ((folder.name, "did not finish"), ("latest", rf"newest there: {folder.name} unfinished\)")):
        with pytest.raises(UserError, match=words):
            resolve_run(tmp_path, name, what="test")
    resume_run(folder)
    assert is_running(folder) and publish_run(folder) == folder and finish_run(folder) == folder
    assert resolve_run(tmp_path, "latest", what="test") == folder


@pytest.mark.parametrize(
    ("clock", "second"),
    [("12:00:00", "120001"), ("11:20:00", "120001"), ("12:00:01", "120001"), ("12:30:00", "123000")],
)
def test_latest_is_the_later_run_whatever_the_clock_does(tmp_path, monkeypatch, caplog, clock, second):
    (tmp_path / "999999_999999_a").mkdir()  # not a date
    (tmp_path / "999999_999999_a" / INCOMPLETE).touch()
    times = iter(["12:00:00", clock])
    moment = type("moment", (datetime,), {"now": lambda: datetime.fromisoformat(f"2025-11-21T{next(times)}")})
    monkeypatch.setattr(run_dir, "datetime", moment)
    assert finish_run(new_run(tmp_path, "a")).name == "251121_120000_a"
    later = finish_run(new_run(tmp_path, "a"))
    assert later.name == f"251121_{second}_a" and resolve_run(tmp_path, "latest", what="test", run_name="a") == later
    assert ("the clock is behind" in caplog.text) == (clock == "11:20:00")


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "no space left in"), (errno.EROFS, "read-only"), (errno.EACCES, "permission")]
)
def test_what_a_disk_refuses_is_one_line(tmp_path, code, words):
    with pytest.raises(UserError) as error, disk_faults(tmp_path, "work", "then do this", needed=1e18):
        try:
            raise OSError(code, os.strerror(code), str(tmp_path / "deep/x.npy"))
        except OSError as cause:
            raise RuntimeError("a library's own error") from cause
    [line] = error.value.lines
    assert words in line and str(tmp_path) in line and line.startswith("work stopped: ") and "then do this" in line
    assert ("missing" in line) == (code == errno.ENOSPC)


def test_errors_of_other_kinds_pass(tmp_path):
    for error in (RuntimeError("x"), FileNotFoundError(errno.ENOENT, "gone", "x"), UserError("x"), KeyboardInterrupt()):
        with pytest.raises(type(error)), disk_faults(tmp_path, "work"):
            raise error


def test_space_is_asked_for_before_the_work(tmp_path):
    require_space(tmp_path / "not/there/yet", 1, "work")
    with pytest.raises(UserError, match=r"work needs about 1000000.0 TB in .*free another"):
        require_space(tmp_path, 1e18, "work")
    assert [text_of(n) for n in (12, 1500, 2.5e6, 4e8, 3.2e9)] == ["12 bytes", "1.5 kB", "2.5 MB", "400 MB", "3.2 GB"]


def test_a_config_that_changed_keeps_a_run_from_going_on(tmp_path):
    folder = tmp_path / "251121_120000_default"
    (folder / "configs").mkdir(parents=True)
    (folder / run_dir.INCOMPLETE).touch()
    dataset = section_from_values("dataset", {"ACTOR_NAMES": ["ann"], "CACHE_FPS": {"ann": 30.0}})
    write_json(folder / "configs/config_dataset_full.json", dataset.values)
    for kept, values in (({"NUM_EPOCHS": 4}, {"NUM_EPOCHS": 4, "LOG_PERIOD": 7}), ({}, {"NUM_EPOCHS": 9})):
        write_json(folder / "configs/config_train_full.json", section_from_values("train", kept).values)
        sections = {"train": section_from_values("train", values), "dataset": dataset}
        if kept:
            assert find_unfinished(tmp_path, "default", sections, "latest", "mine") == folder
            continue
        with pytest.raises(UserError, match=r"NUM_EPOCHS \(was \d+, is 9\); set it back"):
            find_unfinished(tmp_path, "default", sections, folder.name, "mine")
    with pytest.raises(UserError, match=rf"nope not found in .*{folder.name} unfinished"):
        find_unfinished(tmp_path, "default", sections, "nope", "mine")
