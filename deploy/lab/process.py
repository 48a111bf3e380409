"""A server of ours as a child process: its output in a log file, stopped by its own process id."""

import ctypes
import os
import signal
import subprocess
from pathlib import Path

STOP_SECONDS_MAX = 15
PR_SET_PDEATHSIG = 1  # prctl(2)


class Child:
    """A running program. It dies with this process, and Ctrl-C in the terminal does not reach it: whoever started it stops it."""

    def __init__(self, command: list[object], log: Path, environment: dict[str, str] | None = None):
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                list(map(str, command)), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={**os.environ, **(environment or {})}, start_new_session=True, preexec_fn=_die_with_parent,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def is_running(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> int:
        """Asks it to end (SIGTERM), and ends it after some seconds."""
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"process {self.pid} did not stop; see {self.log}") from None

    def kill(self) -> None:
        """SIGKILL: no chance to clean up, as in a crash."""
        self.process.kill()
        self.process.wait()

    def log_tail(self, lines: int = 40) -> str:
        return log_tail(self.log, lines)


def log_tail(path: Path, lines: int = 40) -> str:
    """The last lines of a log, under its name."""
    if not path.exists():
        return f"--- {path}: not there"
    return "\n".join([f"--- {path}", *path.read_text(errors="replace").splitlines()[-lines:]])


def peak_memory_bytes(pid: int) -> int:
    """Largest resident memory of a process and its children so far, added up (VmHWM, proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    own = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    children = Path(f"/proc/{pid}/task/{pid}/children")
    listed = children.read_text().split() if children.exists() else _children_by_parent(pid)
    return own + sum(peak_memory_bytes(int(child)) for child in listed)


def _children_by_parent(pid: int) -> list[str]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if f"PPid:\t{pid}\n" in status.read_text():
                found.append(status.parent.name)
        except OSError:
            continue
    return found


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
