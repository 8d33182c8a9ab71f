"""Images built by docker/build with buildah, in a store of their own, and run by podman."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
NAMES = ("mpi-test", "mpi-ml", "mpi-ml-gpu")
TOOLS = ("buildah", "mmdebstrap", "podman", "runc")
# What they make stays, so that another run builds only what has changed. Some gigabytes.
STORE = Path(os.environ.get("IMAGE_STORE") or "/var/tmp/hpo-images")
PYTHON, MPIRUN = "/usr/bin/python3", "/usr/local/bin/mpirun"
USER = 54321  # nobody that an image knows
TIMEOUT_S = 300
BUILD_TIMEOUT_S = 3600  # TensorFlow is 0.6 GB to load

Done = subprocess.CompletedProcess[str]


def lacking() -> str:
    """Say why images are not built and run here; nothing if they can be."""
    if os.environ.get("IMAGE_TESTS") != "1":
        return "make test-images builds images and runs them"
    if sys.platform != "linux" or os.getuid() != 0:
        return "expected root on Linux: images are built without a daemon, and run as any user"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    install = f"apt-get install --no-install-recommends {' '.join(missing)}"
    return f"no {', '.join(missing)} ({install})" if missing else ""


def dockerfile(name: str) -> str:
    return (DOCKER / name / "Dockerfile").read_text()


def base_name() -> str:
    """Name the image that all others are made from."""
    [name] = {re.findall(r"^FROM (\S+)$", dockerfile(name), re.M)[0] for name in NAMES}
    return name


def run_command(*words: object, store: Path) -> list[str]:
    """Give the command line that runs an image, with a directory mounted as its store."""
    return [
        *("podman", "--runtime=runc", "run", "--rm", "--passwd=false"),
        "--no-healthcheck",  # podman has systemd do it
        # podman's own limits are above those of a container that this may run in.
        *("--ulimit=nofile=1024:2048", "--ulimit=nproc=4096:4096"),
        *(f"--volume={store}:/app/store", *map(str, words)),
    ]


class NoBaseError(Exception):
    """Debian's archive gave no base image."""


class Engine:
    """Builds and runs images without a daemon, a registry or the caller's own images."""

    def __init__(self, folder: Path) -> None:
        """Set up in a folder of this run; raises `NoBaseError`."""
        self._folder = folder
        configuration = folder / "storage.conf"
        STORE.mkdir(parents=True, exist_ok=True)
        configuration.write_text(
            '[storage]\ndriver = "overlay"\n'
            f'graphroot = "{STORE}/graph"\nrunroot = "{STORE}/run"\n'
        )
        self._env = os.environ | {"CONTAINERS_STORAGE_CONF": str(configuration)}
        self._make_base()

    def build(self, name: str, context: Path = ROOT, *, tag: str = "latest") -> str:
        """Build an image by docker/build, from a folder like this project's; give what is said."""
        options = [
            *("--pull-never", "--isolation=chroot", "--network=host"),
            *(f"--volume={volume}" for volume in self._pip_volumes()),
        ]
        env = {"BUILDER": "buildah", "BUILD_OPTIONS": shlex.join(options), "TAG": tag}
        done = self.do(context / "docker" / "build", name, timeout_s=BUILD_TIMEOUT_S, **env)
        return done.stdout + done.stderr

    def inspect(self, image: str) -> dict[str, Any]:
        """Tell what an image says of itself."""
        told: dict[str, Any] = json.loads(self.do("podman", "image", "inspect", image).stdout)[0]
        return told

    def layers(self, image: str) -> list[str]:
        layers: list[str] = self.inspect(image)["RootFS"]["Layers"]
        return layers

    def run(
        self,
        image: str,
        *words: object,
        store: Path,
        network: str = "host",
        workdir: str = "/app",
        shared_memory: str = "1g",
        **env: str,
    ) -> Done:
        """Run a command as a cluster would: an unknown user, no rights, a read-only root."""
        options = [
            *("--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp:mode=1777"),
            *("--cap-drop=all", "--security-opt=no-new-privileges", f"--user={USER}:{USER}"),
            *(f"--network={network}", f"--workdir={workdir}", f"--shm-size={shared_memory}"),
            *(f"--env={name}={value}" for name, value in env.items()),
        ]
        return self.do(*run_command(*options, image, *words, store=store), check=False)

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, env=self._env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def do(
        self, *words: object, check: bool = True, timeout_s: float = TIMEOUT_S, **env: str
    ) -> Done:
        """Run a command on the store of this engine."""
        done = subprocess.run(
            list(map(str, words)),
            env=self._env | env,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode:
            said = f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
            raise RuntimeError(f"{shlex.join(done.args)}: {done.returncode}\n{said}")
        return done

    def close(self) -> None:
        """Remove the layers that no image has any longer."""
        self.do("podman", "image", "prune", "--force", check=False)

    def _make_base(self) -> None:
        """Make what FROM names from Debian's archive, as there may be no registry to ask."""
        name = base_name()
        image = f"docker.io/library/{name}"
        if not self.do("podman", "image", "exists", image, check=False).returncode:
            return
        suite = name.partition(":")[2].partition("-")[0]
        left_out = [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("doc", "man")]
        options = [*left_out, *(f"--aptopt={line}" for line in self._apt_settings())]
        archive = self._folder / "base.tar"
        made = self.do("mmdebstrap", "--variant=minbase", *options, suite, archive, check=False)
        if made.returncode:
            raise NoBaseError(f"no base image: mmdebstrap: {made.stderr.splitlines()[-1]}")
        self.do("podman", "import", archive, image)
        archive.unlink()

    def _apt_settings(self) -> Iterator[str]:
        """Give the caller's settings of how apt reaches packages."""
        for line in self.do("apt-config", "dump").stdout.splitlines():
            if re.match(r"Acquire::(Check-|https?::)", line):
                yield line

    def _pip_volumes(self) -> Iterator[str]:
        """Give the volumes that let pip in a build reach what the caller's pip reaches."""
        told = self.do(sys.executable, "-m", "pip", "config", "list").stdout
        found = re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", told, re.M)
        remote = {name: value for name, value in found if not re.search(r"(^|\s)(/|file:)", value)}
        if certificates := dict(found).get("cert"):
            yield f"{certificates}:/run/certificates.pem:ro"
            remote["cert"] = "/run/certificates.pem"
        configuration = self._folder / "pip.conf"
        lines = [f"{name} = {value}\n" for name, value in remote.items()]
        configuration.write_text("[global]\n" + "".join(lines))
        yield f"{configuration}:/etc/pip.conf:ro"
