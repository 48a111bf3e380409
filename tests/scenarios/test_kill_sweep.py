"""SIGKILL, a power cut, a full and a broken disk at every call by which gateway or reader change something: what was acknowledged arrives, once and
whole, and nobody has to help.

A sample of the points at each run; `--long` takes all of them, `--shard i/n` a part, and what passed is kept in `target/sweeps` and not run again.
"""

import base64
import hashlib
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from lab.keys import Keys
from lab.mail_store import MailStore
from lab.programs import program
from lab.reader import Reader
from lab.study import mr
from peers import faults, senders
from peers.faults import Point
from peers.lost_writes import PowerCut
from peers.sweeps import Sweep

import harness
from harness import Bench
from test_audit import audit

SEED = 8
# Points of a sample: each takes two or three seconds, a reader less than one, a deletion that is proved 15.
SAMPLE, SAMPLE_FIRST, SAMPLE_READER, SAMPLE_CLOSING, SAMPLE_DISK = 12, 3, 24, 2, 2
IMAGES = 4
# So that a study has several pieces, and they wait for as little as possible.
SETTINGS = dict(settle_ms=100, silence_ms=600, poll_ms=150, cover_seen_ms=2_000, piece_bytes_max=60_000)
SECONDS_MAX = 90
# A disk that fails holds up everything; what matters is that nothing false was said.
PATIENCE_SECONDS = 6
# What a sender waits for an answer of the gateway that was killed; one that comes later is sent again for.
ANSWER_SECONDS = 3
TRIES_MAX = 3
# A restart that takes longer is no restart at night.
RESTART_SECONDS_MAX = 5


@pytest.fixture(scope="module")
def small_study(scratch: Path) -> list[Path]:
    return harness.generated(scratch / "small", mr, IMAGES, SEED)


@pytest.fixture(scope="module")
def gateway_points(scratch: Path, session_store: MailStore, keys: Keys, small_study: list[Path]) -> list[Point]:
    """Every call of a gateway from a start to the receipt."""
    return points_of(installed_bench(scratch, session_store, keys, "kill-gateway", "whole"), small_study)


def points_of(bench: Bench, files: list[Path]) -> list[Point]:
    through_a_fault_of_the_gateway(bench, files, partial(faults.strace, faults.CHANGING), SECONDS_MAX)
    points = faults.points_in(calls_of(bench))
    assert {"pwrite64", "fdatasync"} <= {point.call for point in points} and len(points) > 100, "strace saw too little"
    return points


def new_bench(scratch: Path, store: MailStore, keys: Keys, kind: str, name: str) -> Bench:
    harness.empty_mailboxes(store)
    return Bench(scratch / kind / name, store, keys).configure(**SETTINGS)


def installed_bench(scratch: Path, store: MailStore, keys: Keys, kind: str, name: str) -> Bench:
    """Its gateway ran before: it makes no tables and keys any more."""
    bench = new_bench(scratch, store, keys, kind, name)
    bench.start()
    bench.gateway.stop()
    return bench


def calls_of(bench: Bench) -> Path:
    """Where strace writes."""
    return bench.folder / "calls"


def test_the_gateway_is_killed_at_any_call(scratch: Path, store: MailStore, keys: Keys, small_study: list[Path], gateway_points: list[Point],
                                           sweep: Callable[[str], Sweep]):
    def run(point: Point) -> dict:
        bench = installed_bench(scratch, store, keys, "kill-gateway", str(point))
        return through_a_fault_of_the_gateway(bench, small_study, partial(faults.killed_at, point), SECONDS_MAX)

    sweep("kill-gateway").run(gateway_points, SEED, SAMPLE, run)


def test_the_power_is_cut_at_any_call_of_the_gateway(scratch: Path, store: MailStore, keys: Keys, small_study: list[Path], gateway_points: list[Point],
                                                     sweep: Callable[[str], Sweep]):
    """Of what the gateway wrote the disk has what was synced, and a part of the rest."""
    def run(point: Point) -> dict:
        bench = installed_bench(scratch, store, keys, "cut-gateway", str(point))
        power = PowerCut(point, bench.gateway.folder)
        return through_a_fault_of_the_gateway(bench, small_study, power.prefix, SECONDS_MAX, power.strike)

    sweep("cut-gateway").run(gateway_points, SEED, SAMPLE, run)


def test_the_gateway_is_killed_and_loses_its_power_at_any_call_of_its_first_start(scratch: Path, store: MailStore, keys: Keys, small_study: list[Path],
                                                                                  sweep: Callable[[str], Sweep]):
    """Tables, keys and folders are made, and a study comes at once."""
    def kill(point: Point) -> dict:
        bench = new_bench(scratch, store, keys, "kill-first", str(point))
        return through_a_fault_of_the_gateway(bench, small_study, partial(faults.killed_at, point), SECONDS_MAX)

    def cut(point: Point) -> dict:
        bench = new_bench(scratch, store, keys, "cut-first", str(point))
        # The operator's files are on the disk long since.
        bench.gateway.write_configuration()
        power = PowerCut(point, bench.gateway.folder)
        return through_a_fault_of_the_gateway(bench, small_study, power.prefix, SECONDS_MAX, power.strike)

    points = points_of(new_bench(scratch, store, keys, "kill-first", "whole"), small_study)
    sweep("kill-first").run(points, SEED, SAMPLE_FIRST, kill)
    sweep("cut-first").run(points, SEED + 1, SAMPLE_FIRST, cut)


def test_the_reader_is_killed_and_loses_its_power_at_any_call(scratch: Path, store: MailStore, keys: Keys, small_study: list[Path],
                                                              sweep: Callable[[str], Sweep]):
    bench = new_bench(scratch, store, keys, "kill-reader", "gateway")
    bench.start()
    try:
        assert senders.pynetdicom(bench.port, "DR_DEMO", small_study) == small_study
        bench.gateway.wait_for_state("notified")
    finally:
        bench.gateway.stop()
    bench.gateway.replay()
    folder = scratch / "kill-reader"

    def new_reader(name: str) -> Reader:
        """It has nothing yet; the mailbox stays as it is but for receipts."""
        return Reader(folder / f"{name}.toml", folder / name / "pulled", store, keys)

    def run(reader: Reader, injected: Callable[[Path], list[str]], strike: Callable[[], None] | None = None) -> dict:
        receipts = receipts_in(store)
        reader.prefix = injected(reader.output.parent.with_suffix(".calls"))
        first = reader.pull()
        reader.prefix = []
        if strike:
            strike()
        # Whoever reads the receipt may delete the mail.
        if receipts_in(store) > receipts:
            harness.assert_equal_bytes(small_study, reader.files())
        bench.pull(reader)
        harness.assert_equal_bytes(small_study, reader.files())
        return {"met": first.returncode < 0}

    def cut(point: Point) -> dict:
        reader = new_reader(f"cut-{point}")
        reader.output.parent.mkdir()
        power = PowerCut(point, reader.output.parent)
        return run(reader, power.prefix, power.strike)

    run(new_reader("whole"), partial(faults.strace, faults.CHANGING))
    points = faults.points_in(folder / "whole.calls")
    assert len(points) > 20, "strace saw too little"
    sweep("kill-reader").run(points, SEED, SAMPLE_READER, lambda point: run(new_reader(str(point)), partial(faults.killed_at, point)))
    sweep("cut-reader").run(points, SEED, SAMPLE_READER, cut)


def test_the_gateway_is_killed_and_loses_its_power_at_any_call_of_a_deletion(scratch: Path, store: MailStore, keys: Keys, small_study: list[Path],
                                                                             sweep: Callable[[str], Sweep]):
    def kill(name: str, injected: Callable[[Path], list[str]]) -> dict:
        return through_a_fault_while_closing(new_bench(scratch, store, keys, "kill-closing", name), small_study, injected)

    def cut(point: Point) -> dict:
        bench = new_bench(scratch, store, keys, "cut-closing", str(point))
        power = PowerCut(point, bench.gateway.folder)
        return through_a_fault_while_closing(bench, small_study, power.prefix, power.strike)

    kill("whole", partial(faults.strace, faults.CHANGING))
    points = faults.points_in(scratch / "kill-closing" / "whole" / "calls")
    assert len(points) > 50, "strace saw too little"
    sweep("kill-closing").run(points, SEED, SAMPLE_CLOSING, lambda point: kill(str(point), partial(faults.killed_at, point)))
    sweep("cut-closing").run(points, SEED + 1, SAMPLE_CLOSING, cut)


@pytest.mark.parametrize(("error", "calls", "fault"), [
    ("ENOSPC", faults.FILLING, faults.failing_from), ("ENOSPC", faults.FILLING, faults.failing_once),
    ("EIO", faults.SYNCING, faults.failing_from), ("EIO", faults.SYNCING, faults.failing_once),
], ids=["full", "full-once", "broken", "broken-once"])
def test_the_disk_fails_at_any_call(scratch: Path, store: MailStore, keys: Keys, small_study: list[Path], gateway_points: list[Point],
                                    sweep: Callable[[str], Sweep], request: pytest.FixtureRequest, error: str, calls: tuple[str, ...],
                                    fault: Callable[[Point, Path, str], list[str]]):
    """Success is said of nothing that is not on the disk, whatever the disk answers; a restart on a good disk goes on."""
    kind = f"disk-{request.node.callspec.id}"

    def run(point: Point) -> dict:
        bench = new_bench(scratch, store, keys, kind, str(point))
        return through_a_fault_of_the_gateway(bench, small_study, lambda trace: fault(point, trace, error), PATIENCE_SECONDS)

    points = [point for point in gateway_points if point.call in calls]
    assert len(points) > 10, "strace saw too little"
    sweep(kind).run(points, SEED, SAMPLE_DISK, run)


def through_a_fault_of_the_gateway(bench: Bench, files: list[Path], injected: Callable[[Path], list[str]], patience_s: float,
                                   strike: Callable[[], None] | None = None) -> dict:
    """Sends the files to a gateway that meets a fault somewhere, starts it again, sends what was not acknowledged, and looks at what the doctor has.
    `strike` does what the fault does besides, once the gateway is dead."""
    gateway = bench.gateway
    stored: list[Path] = []
    gateway.prefix = injected(calls_of(bench))
    try:
        bench.start()
        stored = senders.pynetdicom(bench.port, "DR_DEMO", files, answer_s=ANSWER_SECONDS)
        until_pulled_or_ended(bench, patience_s)
    except RuntimeError:
        # It does not start; or it cannot read what it has.
        pass
    met = faults.is_met(calls_of(bench))
    gateway.child.kill()
    gateway.prefix = []
    if strike:
        strike()
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
    gateway.replay()
    assert audit(bench, "verify").returncode == 0, "the audit trail is damaged"
    assert restart_s < RESTART_SECONDS_MAX, "nobody waits so long for the gateway at night"
    return {"met": met, "acknowledged": len(stored), "restart_s": round(restart_s, 2)}


def receipts_in(store: MailStore) -> int:
    return sum(".fetched." in harness.header(message, "Message-ID") for message in harness.messages(store, "doctor"))


def send_again(bench: Bench, missing: list[Path]) -> None:
    """As a PACS does: what was not acknowledged goes once more, and once more."""
    for _ in range(TRIES_MAX):
        if not missing:
            return
        stored = senders.pynetdicom(bench.port, "DR_DEMO", missing)
        missing = [path for path in missing if path not in stored]
    assert not missing, bench.logs()


def through_a_fault_while_closing(bench: Bench, files: list[Path], injected: Callable[[Path], list[str]], strike: Callable[[], None] | None = None) -> dict:
    """The doctor closes a case while the gateway stands still; it ends somewhere on the way to the proof, and nothing is left all the same."""
    gateway = bench.gateway
    bench.start()
    send_again(bench, files)
    (delivery,) = bench.deliver_and_pull(seconds=SECONDS_MAX)
    gateway.stop()
    subprocess.run([program("scanpost-reader"), "answer", "--config", bench.reader.config, "--case", delivery["case"], "close"],
                   check=True, capture_output=True, timeout=SECONDS_MAX)
    gateway.prefix = injected(calls_of(bench))
    try:
        gateway.start()
        # The process that reads mailboxes meets the fault at each of its starts, and may never come to the end.
        until_forgotten_or_ended(bench, PATIENCE_SECONDS)
    except RuntimeError:
        assert not gateway.child.is_running(), bench.logs()
    met = faults.is_met(calls_of(bench))
    gateway.child.kill()
    gateway.prefix = []
    if strike:
        strike()
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
    gateway.replay()
    assert audit(bench, "verify").returncode == 0, "the audit trail is damaged"
    return {"met": met}


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
    """A repeated mail is the same mail, and no two pieces have one salt (docs/spec-mail.md 3.1): no key and nonce were used twice."""
    bodies: dict[str, set[str]] = {}
    salts: dict[str, bytes] = {}
    for message in harness.messages(store, "doctor"):
        name, body = harness.header(message, "Message-ID"), message.content.split(b"\r\n\r\n", 1)[1]
        bodies.setdefault(name, set()).add(hashlib.sha256(body).hexdigest())
        content = base64.b64decode(body)
        if content.startswith(b"SCPPIECE"):
            salts[name] = content[32:64]
    changed = [name for name, found in bodies.items() if len(found) > 1 and ".fetched." not in name]
    assert not changed, f"sent twice with other bytes: {changed}"
    assert salts and len(set(salts.values())) == len(salts), "two pieces have one salt"
