"""SIGKILL, a full and a broken disk at every call by which gateway or reader change something: what was acknowledged arrives, once and whole, and
nobody has to help.

A sample of the points at each run; `--long` takes all of them, `--shard i/n` a part, and what passed is kept in `target/sweeps` and not run again.
"""

import hashlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.keys import Keys
from lab.mail_store import MailStore
from lab.programs import program
from lab.study import mr
from peers import faults, senders
from peers.faults import Point
from peers.sweeps import Sweep

import harness
from harness import Bench

SEED = 8
# Points of a sample: each takes two or three seconds, a reader less than one, a deletion that is proved 15.
SAMPLE, SAMPLE_READER, SAMPLE_CLOSING, SAMPLE_DISK = 12, 24, 3, 2
IMAGES = 4
# So that a study has several pieces, and they wait for as little as possible.
SETTINGS = dict(settle_ms=100, silence_ms=600, poll_ms=150, cover_seen_ms=2_000, piece_bytes_max=60_000)
SECONDS_MAX = 90
# A disk that fails holds up everything; what matters is that nothing false was said.
PATIENCE_SECONDS = 6
TRIES_MAX = 3
# A restart that takes longer is no restart at night.
RESTART_SECONDS_MAX = 5


@pytest.fixture(scope="module")
def small_study(scratch: Path) -> list[Path]:
    folder = scratch / "small"
    folder.mkdir()
    mr.generate(folder, IMAGES, seed=SEED)
    return sorted(folder.glob("*.dcm"))


def test_the_gateway_is_killed_at_any_call(scratch: Path, store: MailStore, keys: Keys, small_study: list[Path], sweep: Callable[[str], Sweep]):
    def run(name: str, prefix: list[str]) -> dict:
        harness.empty_mailboxes(store)
        bench = Bench(scratch / "kill" / name, store, keys)
        bench.settings.__dict__.update(SETTINGS)
        return through_a_fault_of_the_gateway(bench, small_study, prefix, SECONDS_MAX)

    trace = scratch / "gateway.trace"
    run("whole", faults.counted(faults.CHANGING, trace))
    points = faults.points_in(trace)
    assert {"pwrite64", "fdatasync"} <= {point.call for point in points} and len(points) > 100, "strace saw too little"
    sweep("kill-gateway").run(points, SEED, SAMPLE, lambda point: run(str(point), faults.killed_at(point)))


def test_the_reader_is_killed_at_any_call(scratch: Path, store: MailStore, keys: Keys, small_study: list[Path], sweep: Callable[[str], Sweep]):
    bench = Bench(scratch / "kill-reader", store, keys)
    bench.start(**SETTINGS)
    try:
        assert senders.pynetdicom(bench.port, "DR_DEMO", small_study) == small_study
        bench.gateway.wait_for_state("notified")
        bench.gateway.stop()

        def run(name: str, prefix: list[str]) -> dict:
            """A reader that has nothing yet; the mailbox stays as it is but for receipts."""
            reader = bench.reader_of("doctor")
            reader.output = scratch / "pulled-after-kill" / name
            text = reader.config.read_text()
            reader.config.write_text(f'output = "{reader.output}"\n' + text.split("\n", 1)[1])
            reader.prefix = prefix
            first = reader.pull()
            reader.prefix = []
            bench.pull(reader)
            harness.assert_equal_bytes(small_study, reader.files())
            return {"killed": first.returncode < 0}

        trace = scratch / "reader.trace"
        run("whole", faults.counted(faults.CHANGING, trace))
        points = faults.points_in(trace)
        assert len(points) > 20, "strace saw too little"
        sweep("kill-reader").run(points, SEED, SAMPLE_READER, lambda point: run(str(point), faults.killed_at(point)))
    finally:
        bench.gateway.stop()


def test_the_gateway_is_killed_at_any_call_of_a_deletion(scratch: Path, store: MailStore, keys: Keys, small_study: list[Path], sweep: Callable[[str], Sweep]):
    def run(name: str, prefix: list[str]) -> dict:
        harness.empty_mailboxes(store)
        bench = Bench(scratch / "kill-closing" / name, store, keys)
        bench.settings.__dict__.update(SETTINGS)
        return through_a_kill_while_closing(bench, small_study, prefix)

    trace = scratch / "closing.trace"
    run("whole", faults.counted(faults.CHANGING, trace))
    points = faults.points_in(trace)
    assert len(points) > 50, "strace saw too little"
    sweep("kill-closing").run(points, SEED, SAMPLE_CLOSING, lambda point: run(str(point), faults.killed_at(point)))


@pytest.mark.parametrize(("error", "calls", "fault"), [
    ("ENOSPC", faults.FILLING, faults.failing_from), ("ENOSPC", faults.FILLING, faults.failing_once),
    ("EIO", faults.SYNCING, faults.failing_from), ("EIO", faults.SYNCING, faults.failing_once),
], ids=["full", "full-once", "broken", "broken-once"])
def test_the_disk_fails_at_any_call(scratch: Path, store: MailStore, keys: Keys, small_study: list[Path], sweep: Callable[[str], Sweep],
                                    request: pytest.FixtureRequest, error: str, calls: tuple[str, ...], fault: Callable[[Point, str], list[str]]):
    """Success is said of nothing that is not on the disk, whatever the disk answers; a restart on a good disk goes on."""
    kind = request.node.callspec.id

    def run(name: str, prefix: list[str]) -> dict:
        harness.empty_mailboxes(store)
        bench = Bench(scratch / kind / name, store, keys)
        bench.settings.__dict__.update(SETTINGS)
        return through_a_fault_of_the_gateway(bench, small_study, prefix, PATIENCE_SECONDS)

    trace = scratch / f"{kind}.trace"
    run("whole", faults.counted(calls, trace))
    points = faults.points_in(trace)
    assert len(points) > 20, "strace saw too little"
    sweep(f"disk-{kind}").run(points, SEED, SAMPLE_DISK, lambda point: run(str(point), fault(point, error)))


def through_a_fault_of_the_gateway(bench: Bench, files: list[Path], prefix: list[str], patience_s: float) -> dict:
    """Sends the files to a gateway that meets a fault somewhere, starts it again, sends what was not acknowledged, and looks at what the doctor has."""
    gateway = bench.gateway
    stored: list[Path] = []
    gateway.prefix = prefix
    try:
        gateway.start()
        stored = senders.pynetdicom(bench.port, "DR_DEMO", files)
        until_pulled_or_ended(bench, patience_s)
    except RuntimeError:
        # It does not start; or it cannot read what it has.
        pass
    killed = not gateway.child.is_running()
    gateway.child.kill()
    gateway.prefix = []
    try:
        began = time.monotonic()
        gateway.start()
        restart_s = time.monotonic() - began
        send_again(bench, [path for path in files if path not in stored])
        bench.deliver_and_pull(seconds=SECONDS_MAX)
        harness.assert_equal_bytes(files, bench.reader.files())
        assert_no_mail_twice_with_other_bytes(bench.store)
    finally:
        gateway.stop()
    assert restart_s < RESTART_SECONDS_MAX, "nobody waits so long for the gateway at night"
    return {"killed": killed, "acknowledged": len(stored), "restart_s": round(restart_s, 2)}


def send_again(bench: Bench, missing: list[Path]) -> None:
    """As a PACS does: what was not acknowledged goes once more, and once more."""
    for _ in range(TRIES_MAX):
        if not missing:
            return
        stored = senders.pynetdicom(bench.port, "DR_DEMO", missing)
        missing = [path for path in missing if path not in stored]
    assert not missing, bench.logs()


def through_a_kill_while_closing(bench: Bench, files: list[Path], prefix: list[str]) -> dict:
    """The doctor closes a case while the gateway stands still; it is killed somewhere on the way to the proof, and nothing is left all the same."""
    gateway = bench.gateway
    gateway.start()
    assert senders.pynetdicom(bench.port, "DR_DEMO", files) == files
    (delivery,) = bench.deliver_and_pull(seconds=SECONDS_MAX)
    gateway.stop()
    subprocess.run([program("scanpost-reader"), "answer", "--config", bench.reader.config, "--case", delivery["case"], "close"],
                   check=True, capture_output=True, timeout=SECONDS_MAX)
    gateway.prefix = prefix
    try:
        gateway.start()
        # The process that reads mailboxes meets the fault at each of its starts, and may never come to the end.
        until_forgotten_or_ended(bench, PATIENCE_SECONDS)
    except RuntimeError:
        assert not gateway.child.is_running(), bench.logs()
    killed = not gateway.child.is_running()
    gateway.child.kill()
    gateway.prefix = []
    try:
        gateway.start()
        until_forgotten_or_ended(bench, SECONDS_MAX)
        (ended,) = gateway.deliveries()
        assert ended["state"] == "closed" and ended["ended"]["proved_at_ms"], bench.logs()
    finally:
        gateway.stop()
    assert not [message for message in harness.messages(bench.store, "doctor") if delivery["id"] in harness.header(message, "Message-ID")]
    spool = gateway.folder / "state" / "spool"
    assert not [path for path in spool.rglob("*") if path.is_file()]
    return {"killed": killed}


def until_pulled_or_ended(bench: Bench, patience_s: float) -> None:
    """Returns when the receipt is here, nothing can come any more, or nobody is so patient."""
    deadline = time.monotonic() + patience_s
    pulled = False
    while bench.gateway.child.is_running() and time.monotonic() < deadline:
        states = {delivery["state"] for delivery in bench.gateway.deliveries()}
        if states == {"pulled"}:
            return
        if states == {"notified"} and not pulled:
            bench.pull()
            pulled = True
        time.sleep(0.05)


def until_forgotten_or_ended(bench: Bench, patience_s: float) -> None:
    """Returns when the audit trail has the proof, the gateway has ended, or nobody is so patient."""
    deadline = time.monotonic() + patience_s
    while bench.gateway.child.is_running() and time.monotonic() < deadline:
        (delivery,) = bench.gateway.deliveries()
        if (delivery["ended"] or {}).get("proved_at_ms"):
            return
        time.sleep(0.05)


def assert_no_mail_twice_with_other_bytes(store: MailStore) -> None:
    """A repeated mail is the same mail, and no two pieces have one salt: no key and nonce were used twice."""
    bodies: dict[str, set[str]] = {}
    for message in harness.messages(store, "doctor"):
        body = message.content.split(b"\r\n\r\n", 1)[1]
        bodies.setdefault(harness.header(message, "Message-ID"), set()).add(hashlib.sha256(body).hexdigest())
    changed = [name for name, found in bodies.items() if len(found) > 1 and ".fetched." not in name]
    assert not changed, f"sent twice with other bytes: {changed}"
