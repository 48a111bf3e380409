"""A server of ours as a child process: its output in a log file, stopped by its own process id."""

import ctypes
import os
import select
import signal
import subprocess
import time
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
    """Largest resident memory so far of a process, or of a child of it that runs."""
    return max(peaks_bytes(pid))


def peaks_bytes(pid: int) -> list[int]:
    """Largest resident memory of a process, and of each of its children that runs (VmHWM, proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    # A process that has just ended has none.
    own = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
    return own + [peak for child in children(pid) for peak in _peaks_of_child(child)]


def _peaks_of_child(pid: int) -> list[int]:
    try:
        return peaks_bytes(pid)
    except (FileNotFoundError, ProcessLookupError):
        return []


def children(pid: int) -> list[int]:
    """Process ids of those that a process started, from whichever thread, and that still run."""
    listed = list(Path(f"/proc/{pid}/task").glob("*/children"))
    if listed:
        return [int(child) for path in listed for child in _read_if_there(path).split()]
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        if f"PPid:\t{pid}\n" in _read_if_there(status):
            found.append(int(status.parent.name))
    return found


def _read_if_there(path: Path) -> str:
    """Of a thread or process that has ended, nothing."""
    try:
        return path.read_text()
    except OSError:
        return ""


class Ending:
    """Processes that are about to end: whoever has not after some seconds is killed."""

    def __init__(self, pids: list[int]):
        self._handles = [handle for handle in map(_handle, pids) if handle is not None]

    def wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for handle in self._handles:
            left_ms = max(0, deadline - time.monotonic()) * 1000
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            if not poll.poll(left_ms):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                poll.poll(STOP_SECONDS_MAX * 1000)
            os.close(handle)
        self._handles = []


def _handle(pid: int) -> int | None:
    """Names this process alone, also after its number went to another (pidfd_open(2))."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
