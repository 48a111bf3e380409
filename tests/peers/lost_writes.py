"""A power cut without a power switch: what a disk may hold of a folder when the machine stops, told from a program's system calls.

Kept is what POSIX promises and no more: of a file what was written before a sync of it began, once that sync has returned; of a folder the names
that were there when a sync of the folder began. Of all else a seed decides: nothing, everything, the writes up to one that is torn, or any sectors of
them. Names of one folder come in the order in which they were made, and a rename whole or not at all; folders and files know no order among each other.
"""

import os
import random
import re
import shutil
import time
from codecs import escape_decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from peers.faults import Point, kill_at, strace

# All by which a program changes a file or a name, or moves the place where it writes next.
CALLS = ("open", "openat", "lseek", "write", "pwrite64", "writev", "pwritev", "ftruncate", "fallocate", "copy_file_range", "sendfile", "fsync", "fdatasync",
         "mkdir", "mkdirat", "rmdir", "rename", "renameat", "renameat2", "unlink", "unlinkat", "link", "linkat")
SECTOR_BYTES = 512
# How likely a name that was not synced, and all that was done in its folder later, is lost.
LOSES = (0, 0.3, 1)
# SQLite writes its shared memory by mmap and makes it anew after a crash.
MAPPED = "-shm"
# More than any write of a program here: what strace cuts short is not known.
STRING_BYTES_MAX = 1 << 26
TRACE_SECONDS_MAX = 20


class PowerCut:
    """SIGKILL as a program enters a call, or later, and of the folder `root` the disk has what a seed leaves."""

    def __init__(self, point: Point, root: Path):
        self.point, self.root = point, root
        self._trace: Path | None = None
        self._disk: Disk | None = None

    def prefix(self, trace: Path) -> list[str]:
        """Words in front of the command. What the folder holds now is on the disk."""
        self._trace, self._disk = trace, Disk(self.root)
        return strace((*CALLS, self.point.call), trace, "-y", "-s", str(STRING_BYTES_MAX), *kill_at(self.point))

    def strike(self) -> None:
        """Once the program is dead."""
        self._disk.follow(_whole(self._trace))
        self._disk.cut(self.point)


@dataclass(frozen=True)
class Change:
    """Of a file, bytes at an offset or a new length; `data` is None for a length."""

    offset: int
    data: bytes | None

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.offset :]
            content.extend(bytes(self.offset - len(content)))
        else:
            content.extend(bytes(max(0, self.offset - len(content))))
            content[self.offset : self.offset + len(self.data)] = self.data

    def sectors(self) -> "Iterator[Change]":
        if self.data is None:
            yield self
            return
        start = 0
        while start < len(self.data):
            end = min(len(self.data), start + SECTOR_BYTES - (self.offset + start) % SECTOR_BYTES)
            yield Change(self.offset + start, self.data[start:end])
            start = end


@dataclass
class File:
    """What surely is on the disk, and what may be."""

    kept: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)
    # Changes so far, with those that are kept.
    changes: int = 0

    def change(self, change: Change) -> None:
        self.pending.append(change)
        self.changes += 1

    def content(self) -> bytearray:
        content = bytearray(self.kept)
        for change in self.pending:
            change.apply(content)
        return content

    def sync(self, before: int) -> None:
        """Keeps the changes up to this number."""
        count = max(0, before - (self.changes - len(self.pending)))
        for change in self.pending[:count]:
            change.apply(self.kept)
        del self.pending[:count]

    def after_cut(self, chance: random.Random) -> bytes:
        match chance.choice(("nothing", "everything", "torn", "sectors")):
            case "nothing":
                changes = []
            case "everything":
                changes = self.pending
            case "torn":
                whole = chance.randint(0, len(self.pending))
                last = [sector for change in self.pending[whole : whole + 1] for sector in change.sectors()]
                changes = self.pending[:whole] + last[: chance.randint(0, len(last))]
            case _:
                changes = [sector for change in self.pending for sector in change.sectors() if chance.random() < 0.5]
        content = bytearray(self.kept)
        for change in changes:
            change.apply(content)
        return bytes(content)


@dataclass(eq=False)
class Folder:
    """Its names: those that surely are on the disk, and those that a program sees."""

    kept: "dict[str, File | Folder]" = field(default_factory=dict)
    seen: "dict[str, File | Folder]" = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """What was done at once with names: each now leads there, or nowhere."""

    number: int
    names: "tuple[tuple[Folder, str, File | Folder | None], ...]"

    @property
    def folders(self) -> set[Folder]:
        return {folder for folder, _, _ in self.names}

    def keep(self) -> None:
        for folder, name, entry in self.names:
            _lead(folder.kept, name, entry)


# What a sync keeps: a file or folder, and how many of its changes, or of all that was done with names.
Mark = tuple[File | Folder | None, int]


class Disk:
    """The folder `root` of a disk, as the calls in a trace have changed it."""

    def __init__(self, root: Path):
        self.root = root
        self.top = _read(root) if root.exists() else Folder()
        # What was done with names and may be lost.
        self._steps: list[Step] = []
        self._steps_so_far = 0
        # Where a descriptor writes next, by its number and file: threads share them.
        self._places: dict[tuple[str, int], int] = {}
        # Those that write at the end, wherever it is.
        self._appending: set[tuple[str, int]] = set()

    def follow(self, trace: Path) -> "Disk":
        """A call changes the disk when it returns, a sync keeps what was there when it began; what never returned may have happened."""
        begun: dict[str, tuple[str, list[str], Mark]] = {}
        for line in trace.read_text(encoding="latin-1").splitlines():
            thread, _, rest = line.partition(" ")
            rest = rest.strip()
            if not (name := re.match(r"(?:<\.\.\. )?(\w+)", rest)) or name[1] not in CALLS:
                continue
            if returned := re.match(r"<\.\.\. \w+ resumed>.*\) += (-?\d+|\?)", rest):
                if returned[1] != "?":
                    call, arguments, mark = begun.pop(thread)
                    self._call(call, arguments, int(returned[1]), mark)
            elif called := re.match(r"(\w+)\((.*) <unfinished \.\.\.>$", rest):
                arguments = _arguments(called[2])
                begun[thread] = called[1], arguments, self._mark(called[1], arguments)
            elif called := re.match(r"(\w+)\((.*)\) += (\?|-?\d+)(?:<[^\"]*>(?:\(deleted\))?)?(?: [^\"]*)?$", rest):
                arguments = _arguments(called[2])
                mark = self._mark(called[1], arguments)
                if called[3] == "?":
                    begun[thread] = called[1], arguments, mark
                else:
                    self._call(called[1], arguments, int(called[3]), mark)
            else:
                raise ValueError(f"a line that is not understood: {line[:200]}")
        for call, arguments, _ in begun.values():
            if call not in ("fsync", "fdatasync", "lseek"):
                self._call(call, arguments, None, None)
        return self

    def cut(self, seed: object) -> None:
        """Puts what the disk holds after a power cut in the folder's place."""
        chance = random.Random(str(seed))
        loses = chance.choice(LOSES)
        lost: set[Folder] = set()
        for step in self._steps:
            if lost & step.folders or chance.random() < loses:
                lost |= step.folders
            else:
                step.keep()
        shutil.rmtree(self.root, ignore_errors=True)
        _write(self.top, self.root, chance)

    def contents(self) -> dict[str, bytes]:
        """All files by their paths, if nothing is lost."""
        return dict(_contents(self.top, ""))

    def _mark(self, call: str, arguments: list[str]) -> Mark:
        """Of what, and how much of it, a sync that begins now will have kept."""
        entry = self._entry(arguments[0]) if call in ("fsync", "fdatasync") else None
        return entry, entry.changes if isinstance(entry, File) else self._steps_so_far

    def _call(self, call: str, arguments: list[str], result: int | None, mark: Mark | None) -> None:
        if result is not None and result < 0:
            return
        match call:
            case "open" | "openat":
                self._open(arguments[call == "openat" :], _base(arguments[0]) if call == "openat" else None, result)
            case "lseek":
                self._places[_descriptor(arguments[0])] = result
            case "write":
                place = _descriptor(arguments[0])
                if file := self._entry(arguments[0]):
                    data = _bytes(arguments[1])[:result]
                    offset = len(file.content()) if place in self._appending else self._places[place]
                    file.change(Change(offset, data))
                    self._places[place] = offset + len(data)
            case "pwrite64":
                if file := self._entry(arguments[0]):
                    file.change(Change(int(arguments[3]), _bytes(arguments[1])[:result]))
            case "ftruncate":
                if file := self._entry(arguments[0]):
                    file.change(Change(int(arguments[1]), None))
            case "fsync" | "fdatasync":
                match mark:
                    case File() as file, before:
                        file.sync(before)
                    case Folder() as folder, before:
                        self._sync(folder, before)
            case "mkdir":
                self._lead((_text(arguments[0]), Folder()))
            case "rename":
                self._rename(_text(arguments[0]), _text(arguments[1]))
            case "unlink" | "rmdir":
                self._lead((_text(arguments[0]), None))
            case "unlinkat":
                self._lead((os.path.join(_base(arguments[0]), _text(arguments[1])), None))
            case _:
                assert not any(self._is_ours(argument) for argument in arguments), f"a call that is not understood: {call}({arguments})"

    def _open(self, arguments: list[str], base: str | None, result: int | None) -> None:
        path = os.path.join(base or "", _text(arguments[0]))
        flags = arguments[1].split("|")
        where = self._folder_of(path)
        if where is None or "O_TMPFILE" in flags:
            return
        folder, name = where
        file = folder.seen.get(name)
        if file is None and "O_CREAT" in flags:
            self._lead((path, File()))
        elif isinstance(file, File) and "O_TRUNC" in flags:
            file.change(Change(0, None))
        if result is not None:
            self._places[path, result] = 0
            self._appending.discard((path, result))
            if "O_APPEND" in flags:
                self._appending.add((path, result))

    def _rename(self, source: str, target: str) -> None:
        if not self._is_ours(source):
            assert not self._is_ours(target), "a file from elsewhere is not understood"
            return
        self._lead((target, self._named(source)), (source, None))
        for path, number in [place for place in self._places if place[0] == source]:
            self._places[target, number] = self._places.pop((path, number))
            if (path, number) in self._appending:
                self._appending.remove((path, number))
                self._appending.add((target, number))

    def _lead(self, *names: tuple[str, File | Folder | None]) -> None:
        """At once, each path leads there, or nowhere."""
        found = [(self._folder_of(path), entry) for path, entry in names]
        step = Step(self._steps_so_far, tuple((*where, entry) for where, entry in found if where))
        for folder, name, entry in step.names:
            _lead(folder.seen, name, entry)
        if step.names:
            self._steps.append(step)
            self._steps_so_far += 1

    def _sync(self, folder: Folder, before: int) -> None:
        """Keeps what was done with names of the folder, and what had to be done for it before."""
        folders, kept = {folder}, []
        for step in reversed(self._steps):
            if step.number < before and folders & step.folders:
                folders |= step.folders
                kept.append(step)
        for step in reversed(kept):
            step.keep()
            self._steps.remove(step)

    def _entry(self, argument: str) -> File | Folder | None:
        """What a descriptor leads to, if it has a name below the root."""
        path, _ = _descriptor(argument)
        return self.top if path == str(self.root) else self._named(path)

    def _named(self, path: str) -> File | Folder | None:
        where = self._folder_of(path)
        return where[0].seen.get(where[1]) if where else None

    def _folder_of(self, path: str) -> tuple[Folder, str] | None:
        """The folder of a path below the root, and the name in it."""
        if not self._is_ours(path):
            return None
        *parents, name = Path(path).relative_to(self.root).parts
        folder = self.top
        for parent in parents:
            folder = folder.seen.get(parent)
            if not isinstance(folder, Folder):
                return None
        return folder, name

    def _is_ours(self, path: str) -> bool:
        return f"{self.root}/" in path and not path.rstrip(">").endswith(MAPPED)


def _whole(trace: Path) -> Path:
    """The trace, once strace has written down how each thread ended."""
    deadline = time.monotonic() + TRACE_SECONDS_MAX
    while True:
        text = trace.read_text(encoding="latin-1")
        if set(re.findall(r"^(\d+) ", text, re.MULTILINE)) == set(re.findall(r"^(\d+) +\+\+\+ ", text, re.MULTILINE)):
            return trace
        assert time.monotonic() < deadline, f"strace does not end {trace}"
        time.sleep(0.02)


def _lead(names: dict[str, File | Folder], name: str, entry: File | Folder | None) -> None:
    if entry is None:
        names.pop(name, None)
    else:
        names[name] = entry


def _arguments(text: str) -> list[str]:
    return [part.strip() for part in re.findall(r'(?:"(?:[^"\\]|\\.)*"|<[^>]*>|\[[^\]]*\]|[^,"<\[])+', text)]


def _descriptor(argument: str) -> tuple[str, int]:
    """`5</a/path>`."""
    number, _, path = argument.partition("<")
    return path.removesuffix(">"), int(number) if number.isdigit() else -1


def _base(argument: str) -> str:
    return _descriptor(argument)[0]


def _bytes(argument: str) -> bytes:
    assert argument.startswith('"') and argument.endswith('"'), "strace cut a string short"
    return escape_decode(argument[1:-1].encode("latin-1"))[0]


def _text(argument: str) -> str:
    return _bytes(argument).decode()


def _read(path: Path) -> File | Folder:
    if path.is_dir():
        names = {child.name: _read(child) for child in path.iterdir() if not child.name.endswith(MAPPED)}
        return Folder(names, dict(names))
    return File(bytearray(path.read_bytes()))


def _write(entry: File | Folder, path: Path, chance: random.Random) -> None:
    if isinstance(entry, File):
        path.write_bytes(entry.after_cut(chance))
        path.chmod(0o600)
        return
    path.mkdir(mode=0o700)
    for name, child in entry.kept.items():
        _write(child, path / name, chance)


def _contents(entry: File | Folder, path: str) -> Iterator[tuple[str, bytes]]:
    if isinstance(entry, File):
        yield path, bytes(entry.content())
        return
    for name, child in entry.seen.items():
        yield from _contents(child, f"{path}/{name}" if path else name)
