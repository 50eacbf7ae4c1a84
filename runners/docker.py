"""The launcher's `docker run`: what this machine offers, what is mounted, which settings the container gets.

Standard library and Python 3.8 only. Everything is an argument list; no shell reads any of it.
"""

from __future__ import annotations

import csv
import getpass
import hashlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.settings import FRAMEWORK_ROOT

IMAGE = "audio2face-framework-env"
PACKAGES_LABEL = "audio2face.packages"
PACKAGE_FILES = ("constraints.txt", "docker/Dockerfile", "docker/requirements.py")
BUILD = "./docker/build_docker.sh"
STOP_SECONDS = 600  # `docker stop` gives a training this long to save and export
HF_HOME = "/huggingface"
SYSTEM_FOLDERS = ("/bin", "/boot", "/dev", "/etc", "/lib", "/opt", "/proc", "/root", "/sbin", "/sys", "/usr", "/var")
HOMES = ("/home", "/Users")
TAKEN = ("/configs", "/datasets", "/framework", "/huggingface", "/input", "/workspace")  # in the container
SOUNDS = (".wav", ".flac", ".aif", ".aiff", ".ogg", ".opus", ".mp3")
MOTIONS = (
    ".npy",
    ".npz",
    ".pc2",
    ".xml",
    ".mc",
    ".mcx",
    ".csv",
    ".bvh",
    ".obj",
    ".ply",
    ".gltf",
    ".glb",
    ".usd",
    ".usda",
    ".usdc",
)
MOST_LOOKED_AT, DATA_DEPTH = 2000, 4  # names, and folders within each other, in which a data set shows that it is one
PORTS = ("A2F_VIEWER_PORT", "A2F_SERVE_PORT")  # that a shell opens to this machine
HOST_ONLY = ("A2F_DATASETS_ROOT", "A2F_WORKSPACE_ROOT", "A2F_RUNTIME", "A2F_IMAGE", "A2F_SHM_SIZE", "PATH")
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # of threads
PASSED_ON = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "OMP_NUM_THREADS", *WAITING)


class DockerError(Exception):
    """No container can start on this machine: one line with the command that fixes it."""


@dataclass(frozen=True)
class Machine:
    """What was found out about the engine: the image to run, whether it can use GPUs, whether it runs without root."""

    image: str
    gpus: bool
    rootless: bool


@dataclass(frozen=True)
class Mount:
    """A folder or file of this machine and where the container sees it."""

    source: str
    target: str
    writable: bool = False

    def argument(self) -> str:
        """The value of --mount, quoted as the CSV line that Docker reads it as (paths may hold commas and colons)."""
        line = io.StringIO()
        fields = ["type=bind", f"source={self.source}", f"target={self.target}"]
        csv.writer(line, lineterminator="").writerow(fields if self.writable else [*fields, "readonly"])
        return line.getvalue()


def _ask(*argv: str, seconds: int = 30) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(argv, 1, "", str(error))


def examine(settings: Mapping[str, str]) -> Machine:
    """Look at the engine, the image and the GPUs. Raises DockerError when there is no engine or no image."""
    if shutil.which("docker") is None:
        raise DockerError("Docker is not installed: see docs/training_framework.md, Detailed Setup; or add --local")
    answer = _ask("docker", "info", "--format", "{{json .}}")
    try:
        info = json.loads(answer.stdout)
    except ValueError:
        info = {}
    if answer.returncode != 0 or not info.get("ServerVersion"):
        reason = (answer.stderr.strip() or "; ".join(info.get("ServerErrors") or [])).splitlines()
        if any("permission denied" in line for line in reason):
            raise DockerError('you may not use Docker yet: sudo usermod -aG docker "$USER", then log out and in again')
        said = f" ({reason[-1].rstrip('.')})" if reason else ""
        raise DockerError(f"no Docker engine responds{said}: sudo systemctl start docker (or start Docker Desktop)")
    image = settings.get("A2F_IMAGE", IMAGE)
    answer = _ask("docker", "image", "inspect", "--format", "{{json .Config.Labels}}", image)
    if answer.returncode != 0:
        raise DockerError(f"image {image} does not exist yet: {BUILD}")
    label = (json.loads(answer.stdout) or {}).get(PACKAGES_LABEL)
    if label and label != packages_id():
        print(f"notice: image {image} was built for other package versions; to renew it: {BUILD}", file=sys.stderr)
    rootless = any("rootless" in option for option in info.get("SecurityOptions") or [])
    return Machine(image, _gpus(info, settings), rootless)


def _gpus(info: Mapping[str, object], settings: Mapping[str, str]) -> bool:
    """Whether to ask for the GPUs: there are some, the engine can hand them over, and they are wanted."""
    if settings.get("A2F_DEVICE", "").strip().lower() == "cpu":
        return False
    if "GPU " not in _ask("nvidia-smi", "--list-gpus").stdout:
        print("notice: no NVIDIA GPU found (nvidia-smi lists none): running on the CPU", file=sys.stderr)
        return False
    toolkit = ("nvidia-container-runtime", "nvidia-container-runtime-hook", "nvidia-container-toolkit")
    if "nvidia" in json.dumps([info.get("Runtimes"), info.get("DiscoveredDevices")]) or any(map(shutil.which, toolkit)):
        return True
    print(
        "notice: there is a GPU but Docker cannot use it, running on the CPU; to fix it, install the NVIDIA Container "
        "Toolkit, then: sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker",
        file=sys.stderr,
    )
    return False


def packages_id() -> str:
    """A short name for the package versions that this checkout wants: the image carries it as a label."""
    digest = hashlib.sha256()
    for name in PACKAGE_FILES:
        digest.update((FRAMEWORK_ROOT / name).read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:16]


def mounts(settings: Mapping[str, str], edit: bool = False, extra: list[str] | None = None) -> list[Mount]:
    """Checkout (writable when `edit`), data sets, workspace, outside configs, hub cache, and files named by `extra`."""
    result = [
        Mount(str(FRAMEWORK_ROOT), "/framework", edit),
        Mount(settings["A2F_DATASETS_ROOT"], "/datasets"),
        Mount(settings["A2F_WORKSPACE_ROOT"], "/workspace", True),
    ]
    if "A2F_CONFIGS_ROOT" in settings:
        result.append(Mount(settings["A2F_CONFIGS_ROOT"], "/configs", edit))
    if "HF_HOME" in settings:
        Path(settings["HF_HOME"]).mkdir(parents=True, exist_ok=True)
        result.append(Mount(settings["HF_HOME"], HF_HOME, True))
    result += _linked(settings)
    for number, path in enumerate(extra or []):
        if container_path(path, result) == path and not is_container_path(path):
            result.append(Mount(path, f"/input/{number}/{os.path.basename(path)}"))
    return result


def _linked(settings: Mapping[str, str]) -> list[Mount]:
    """Data sets that are symbolic links: their targets, mounted where the links point in the container."""
    result = {}
    for entry in sorted(os.scandir(settings["A2F_DATASETS_ROOT"]), key=lambda entry: entry.name):
        if not entry.is_symlink() or not os.path.isdir(entry.path):
            continue
        source = os.path.realpath(entry.path)
        target = re.sub("^/+", "/", os.path.normpath(os.path.join("/datasets", os.readlink(entry.path))))
        if target.startswith("/datasets/"):
            continue
        reason = _not_a_data_set(source, target, settings)
        if reason:
            print(
                f"notice: {entry.path} links to {source}, which {reason}: it is not mounted; link to the data set's own folder",
                file=sys.stderr,
            )
        else:
            result[target] = Mount(source, target)
    return list(result.values())


def _not_a_data_set(source: str, target: str, settings: Mapping[str, str]) -> str:
    """Why a container must not see `source` at `target`: an archive of a stranger may hold links to anything. Or nothing."""
    home = os.path.realpath(Path.home())
    own = [os.path.realpath(settings["A2F_WORKSPACE_ROOT"]), str(FRAMEWORK_ROOT)]
    if any(_within(path, folder) for path in (source, target) for folder in SYSTEM_FOLDERS):
        return "is a folder of the system"
    if any(_within(home, path) or path in HOMES or os.path.dirname(path) in HOMES for path in (source, target)):
        return "holds a whole home"
    if any(_within(source, folder) or _within(folder, source) for folder in own):
        return "is the workspace or the framework"
    if any(_within(target, folder) for folder in TAKEN):
        return "is a place of the container's own"
    return "" if _holds_data(source) else "holds neither sound nor animation"


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _holds_data(folder: str) -> bool:
    """Whether a file that a data set is made of is among the first ones, links not followed."""
    looked_at, depth = 0, len(Path(folder).parts)
    for place, folders, files in os.walk(folder):
        looked_at += len(files) + len(folders)
        if any(name.lower().endswith(SOUNDS + MOTIONS) for name in files):
            return True
        if looked_at > MOST_LOOKED_AT:
            return False
        if len(Path(place).parts) - depth >= DATA_DEPTH:
            folders.clear()
    return False


def is_container_path(path: str) -> bool:
    """Whether a path is written as the container sees it."""
    return path.startswith(("/datasets/", "/workspace/", "/framework/"))


def container_path(path: str, mounted: list[Mount]) -> str:
    """A path of this machine as the container sees it through `mounted`; unchanged when nothing holds it."""
    for mount in sorted(mounted, key=lambda mount: -len(mount.source)):
        if path == mount.source:
            return mount.target
        if path.startswith(mount.source.rstrip("/") + "/"):
            return mount.target + "/" + path[len(mount.source.rstrip("/")) + 1 :]
    return path


def run_arguments(
    command: str, inner: list[str], settings: Mapping[str, str], machine: Machine, mounted: list[Mount]
) -> list[str]:
    """The whole `docker run` command line for `inner`, ready for exec with `settings` in the environment."""
    home = Path(settings["A2F_WORKSPACE_ROOT"]) / ".home"
    home.mkdir(exist_ok=True)
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname().split(".")[0]).strip("-")[:63] or "audio2face"
    argv = ["docker", "run", "--rm", "--init", "--name", f"a2f-{command}-{time.strftime('%H%M%S')}-{os.getpid()}"]
    argv += ["--hostname", host, "--workdir", "/framework", "--stop-timeout", str(STOP_SECONDS)]
    argv += ["--shm-size", settings.get("A2F_SHM_SIZE", "8g")]
    if hasattr(os, "getuid"):  # a rootless engine maps the container's root to the caller
        argv += ["--user", "0:0" if machine.rootless else f"{os.getuid()}:{os.getgid()}"]
    if machine.gpus:
        argv += ["--gpus", "all"]
    if sys.stdin.isatty() and sys.stdout.isatty():
        argv += ["--interactive", "--tty"]
    if command == "shell":
        for key in PORTS:
            if key in settings:
                argv += ["--publish", _published(key, settings[key])]
    for mount in mounted:
        argv += ["--mount", mount.argument()]
    own = _own_settings(settings)
    for key, value in own.items():
        argv += ["--env", f"{key}={value}"]
    for key in sorted(settings):  # by name only: the values (tokens among them) stay out of the process list
        if key not in own and key not in HOST_ONLY:
            argv += ["--env", key]
    argv += [arg for key in PASSED_ON if key in os.environ and key not in settings for arg in ("--env", key)]
    return [*argv, machine.image, *inner]


def _published(key: str, port: str) -> str:
    """The value of --publish for a port: this machine alone reaches it. Raises DockerError for what is not a port."""
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise DockerError(f"{key}={port}: expected a number from 1 to 65535")
    return f"127.0.0.1:{int(port)}:{int(port)}"


def _own_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """The variables that the launcher itself sets in the container."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user number without a name
        user = "user"
    own = {
        "A2F_IN_CONTAINER": "1",
        "EXTERNAL_FRAMEWORK_ROOT": str(FRAMEWORK_ROOT),
        "EXTERNAL_DATASETS_ROOT": settings["A2F_DATASETS_ROOT"],
        "EXTERNAL_WORKSPACE_ROOT": settings["A2F_WORKSPACE_ROOT"],
        "HOME": "/workspace/.home",
        "USER": user,
        "LOGNAME": user,
        "PYTHONDONTWRITEBYTECODE": "1",
        "TZ": _time_zone(),
    }
    if not any(key in settings or key in os.environ for key in WAITING):
        own["OMP_WAIT_POLICY"] = "PASSIVE"  # threads that spin use up the container's quota
    if "A2F_CONFIGS_ROOT" in settings:
        own["A2F_CONFIGS_ROOT"] = "/configs"
    if "HF_HOME" in settings:
        own["HF_HOME"] = HF_HOME
    return own


def _time_zone() -> str:
    """This machine's offset from UTC as a POSIX TZ, so that run names (which `latest` sorts) agree with local runs."""
    minutes = time.localtime().tm_gmtoff // 60
    hours, rest = divmod(abs(minutes), 60)
    sign, posix = ("+", "-") if minutes >= 0 else ("-", "+")
    return f"<{sign}{hours:02d}{rest:02d}>{posix}{hours:02d}:{rest:02d}"
