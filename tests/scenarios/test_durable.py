"""Success is said when the image would survive a power cut, and not before: the calls of the gateway in their order, as the kernel saw them."""

import re
from pathlib import Path

from peers import faults, senders

from harness import Bench

# What must have been between two answers to the sender, in this order (DESIGN 7; SQLite's WAL with synchronous=FULL syncs at each commit).
STEPS = (
    ("the image is synced", re.compile(r"fdatasync\(\d+<[^>]*/spool/receive/[0-9a-f]{32}\.part>")),
    ("it has its name", re.compile(r'rename\("[^"]*/spool/receive/[0-9a-f]{32}\.part"')),
    ("the folder is synced", re.compile(r"fsync\(\d+<[^>]*/spool/receive>")),
    ("the journal is synced", re.compile(r"f(?:data)?sync\(\d+<[^>]*/journal\.sqlite-wal>")),
)


def test_success_is_said_after_image_name_folder_and_journal_are_on_the_disk(bench: Bench, ct_study: list[Path], tmp_path: Path):
    images = ct_study[:4]
    trace = tmp_path / "calls"
    bench.gateway.prefix = faults.strace(("fdatasync", "fsync", "rename", "sendto", "write", "writev"), trace, "-yy")
    bench.start(silence_ms=60_000)
    senders.storescu(bench.port, "DR_DEMO", images)
    bench.gateway.stop()
    answer = re.compile(rf"(?:sendto|writev?)\(\d+<TCP(?:v6)?:\[[^\]]*:{bench.port}->")
    since: list[list[str]] = [[]]
    # A call that another thread interrupts in the trace is written in two lines: it counts when it is done.
    begun: dict[str, str] = {}
    for line in trace.read_text(errors="replace").splitlines():
        thread, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            begun[thread] = rest
            if not answer.match(rest):
                continue
        elif rest.startswith("<..."):
            rest = begun.pop(thread, "")
            if answer.match(rest):
                continue
        since[-1].append(rest)
        if answer.match(rest):
            since.append([])
    # The first answer accepts the association, the last one releases it.
    stored = since[1:-2]
    assert len(stored) == len(images), f"{len(since) - 1} answers were seen"
    for number, calls in enumerate(stored, start=1):
        places = [next((place for place, call in enumerate(calls) if step.match(call)), None) for _, step in STEPS]
        missing = [words for (words, _), place in zip(STEPS, places) if place is None]
        assert not missing, f"answer {number} before: {missing}"
        # The journal may be synced for other reasons too: its last time counts.
        last = max(place for place, call in enumerate(calls) if STEPS[-1][1].match(call))
        assert [*places[:-1], last] == sorted([*places[:-1], last]), f"answer {number}: in another order"
