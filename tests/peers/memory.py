"""What a running process has in memory: what its core dump would hold."""

import re
from pathlib import Path

# Read at once; where the kernel gives nothing, the next page is tried.
BLOCK_BYTES, PAGE_BYTES = 1 << 24, 1 << 12


class Renderers:
    """The largest private memory of a page's process, MiB: script, pictures, WASM of the page and its workers; graphics are another process's. Playwright's browser."""

    def __init__(self, browser):
        processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
        self.pids = [one["id"] for one in processes if one["type"] == "renderer"]
        self.peak_mib = 0.0

    def look(self) -> None:
        for pid in self.pids:
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            private = sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_"))
            self.peak_mib = max(self.peak_mib, private / 1024)


def processes_below(master: int) -> list[int]:
    """The process and all that descend from it."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text()
        except OSError:
            continue
        parents[int(folder.name)] = int(status.rsplit(")", 1)[1].split()[1])
    found = [master]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def image(pid: int, rights: str = "rw") -> bytes:
    """All that the process may write to, or with "r" all that it may read, byte for byte; nothing if it ended meanwhile."""
    parts = []
    try:
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for line in maps:
                area = re.match(rf"([0-9a-f]+)-([0-9a-f]+) {rights}", line)
                # The kernel's own pages, [vvar] and [vsyscall], are no memory of the process.
                if area and "[v" not in line:
                    start, end = (int(part, 16) for part in area.groups())
                    parts.append(_read(memory, start, end))
    except (FileNotFoundError, ProcessLookupError):
        return b""
    return b"\0\n".join(parts)


def _read(memory, start: int, end: int) -> bytes:
    parts = []
    while start < end:
        try:
            memory.seek(start)
            part = memory.read(min(BLOCK_BYTES, end - start))
        except ProcessLookupError:
            raise
        except OSError:  # A page that is set aside and was never used.
            part = b""
        parts.append(part)
        start += len(part) or PAGE_BYTES
    return b"".join(parts)
