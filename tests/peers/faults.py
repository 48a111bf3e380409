"""Faults at the n-th system call of a program, by strace: a kill, or an error of the disk."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# All by which a program changes a file or tells another program something.
CHANGING = ("write", "pwrite64", "writev", "fdatasync", "fsync", "rename", "renameat2", "unlink", "unlinkat", "mkdir", "ftruncate", "sendto", "sendmsg")
# Of these, what a broken disk answers with an error, and what a full one.
SYNCING = ("fdatasync", "fsync")
FILLING = ("pwrite64", "write")


@dataclass(frozen=True, order=True)
class Point:
    """The n-th `call` of a thread; the first thread that comes so far meets the fault."""

    call: str
    number: int

    def __str__(self) -> str:
        return f"{self.call}-{self.number}"


def strace(calls: tuple[str, ...], trace: Path, *more: str) -> list[str]:
    """Runs a program and writes its calls down. `-D`: the program itself, not strace, is the child of who starts it."""
    return ["strace", "-D", "-f", "-o", str(trace), "-e", f"trace={','.join(calls)}", *more]


def killed_at(point: Point, trace: Path) -> list[str]:
    """Kills the program with SIGKILL as it enters the call."""
    return strace((point.call,), trace, *kill_at(point))


def kill_at(point: Point) -> tuple[str, str]:
    """To be added to a strace that writes this call down."""
    return "-e", f"inject={point.call}:signal=SIGKILL:when={point.number}"


def failing_from(point: Point, trace: Path, error: str) -> list[str]:
    """Its calls fail with this error from the n-th of a thread on, as those of a disk that is full or broken."""
    return strace((point.call,), trace, "-e", f"inject={point.call}:error={error}:when={point.number}+")


def failing_once(point: Point, trace: Path, error: str) -> list[str]:
    """As `failing_from`, once in each thread."""
    return strace((point.call,), trace, "-e", f"inject={point.call}:error={error}:when={point.number}")


def is_met(trace: Path) -> bool:
    """The fault came about. To be asked before anybody else kills the program."""
    text = trace.read_text(errors="replace")
    return "(INJECTED)" in text or "killed by SIGKILL" in text


def points_in(trace: Path) -> list[Point]:
    """Every point that the run reached."""
    by_thread: Counter = Counter()
    for line in trace.read_text(errors="replace").splitlines():
        if called := re.match(r"(\d+) +(\w+)\(", line):
            by_thread[called.groups()] += 1
    most: dict[str, int] = {}
    for (_, call), count in by_thread.items():
        most[call] = max(most.get(call, 0), count)
    return sorted(Point(call, number) for call, count in most.items() for number in range(1, count + 1))
