"""Podman with its images in a folder, and containers run as deploy/container/compose.yaml says, but for the network, which is this machine's."""

import shutil
import subprocess
from pathlib import Path

import yaml
from lab.process import Child
from lab.programs import TOP, program

CONTAINER = TOP / "deploy" / "container"
SECONDS_MAX = 600
USER = 10001


class CannotRun(Exception):
    """This machine lets nobody run a container; the text says why."""


class Podman:
    """`compose` is the compose file as it was read."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.compose = yaml.safe_load((CONTAINER / "compose.yaml").read_text())
        self._base = ["podman", f"--root={folder / 'root'}", f"--runroot={folder / 'run'}", "--cgroup-manager=cgroupfs", "--runtime=runc"]

    def build(self, archive: Path) -> None:
        """All images, on a Debian 12 from `archive`: no registry is asked."""
        if not shutil.which("podman"):
            raise CannotRun("podman is not installed")
        if not shutil.which("runc"):
            raise CannotRun("runc is not installed")
        try:
            self._run("import", archive, "localhost/debian:12-slim")
        except RuntimeError as error:
            raise CannotRun(str(error)) from error
        # Where cargo has put the binaries: what the Containerfile finds at target/release.
        context = self.folder / "context"
        (context / "target" / "release").mkdir(parents=True)
        for name in ("scanpost-gateway", "scanpost-reader"):
            shutil.copy(program(name), context / "target" / "release")
        for service in self.compose["services"].values():
            self._run("build", "--isolation=chroot", "--network=host", "--build-arg=BASE=localhost/debian:12-slim", f"--file={CONTAINER / 'Containerfile'}",
                      f"--ignorefile={CONTAINER / 'Containerfile.containerignore'}", f"--target={service['build']['target']}", f"--tag={service['image']}", context)

    def check(self, service: str) -> None:
        try:
            self.once(service, [], "--version")
        except RuntimeError as error:
            raise CannotRun(str(error)) from error

    def once(self, service: str, volumes: list[str], *arguments: object) -> str:
        return self._run(*self._options(service, volumes), "--rm", self.compose["services"][service]["image"], *arguments)

    def start(self, service: str, volumes: list[str], log: Path) -> Child:
        command = [*self._base, *self._options(service, volumes), f"--name={service}", self.compose["services"][service]["image"]]
        return Child(command, log)

    def inside(self, service: str, *command: object) -> str:
        return self._run("exec", service, *command)

    def stop(self, service: str) -> int:
        """By the signal that the image names; its exit code comes back."""
        self._run("stop", "--time=30", service)
        return int(self._run("inspect", "--format={{.State.ExitCode}}", service))

    def remove(self) -> None:
        subprocess.run([*self._base, "rm", "--all", "--force", "--time=0"], capture_output=True, timeout=SECONDS_MAX)
        subprocess.run([*self._base, "rmi", "--all", "--force"], capture_output=True, timeout=SECONDS_MAX)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _options(self, service: str, volumes: list[str]) -> list[str]:
        told = self.compose["services"][service]
        limits = [f"--ulimit={name}={value}" for name, value in told["ulimits"].items()]
        # Podman's own are higher than some machines allow.
        limits += ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
        return ["run", "--network=host", f"--read-only={str(told['read_only']).lower()}", f"--user={told['user']}", *limits,
                *(f"--cap-drop={one}" for one in told["cap_drop"]), *(f"--security-opt={one.replace(':true', '')}" for one in told["security_opt"]),
                *(f"--tmpfs={one.split(':')[0]}:mode=0700" for one in told["tmpfs"]), *(f"--volume={one}" for one in volumes)]

    def _run(self, *arguments: object) -> str:
        result = subprocess.run(list(map(str, [*self._base, *arguments])), capture_output=True, text=True, timeout=SECONDS_MAX)
        if result.returncode != 0:
            raise RuntimeError(f"podman {arguments[0]}: {result.stderr[-3000:]}{result.stdout[-1000:]}")
        return result.stdout
