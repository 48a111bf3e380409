"""Two builds: the one whose journal had the schema before, and this one, which takes over its full queue; and the way back (docs/install.md)."""

import fcntl
import shutil
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from lab.page import HOLD
from lab.programs import TOP
from peers import senders, tiny

import harness
from harness import Bench

MIGRATIONS = "gateway/migrations/sqlite"
IMAGES = 4
BUILD_SECONDS_MAX = 3_600


@pytest.fixture(scope="session")
def before(request: pytest.FixtureRequest) -> Path:
    """The binaries of the last commit before the newest migration."""
    if not any(map(request.config.getoption, ("--long", "--before"))):
        pytest.skip("the version before is not built: takes minutes, run by --long or --before")
    newest = max(path.name for path in (TOP / MIGRATIONS).glob("*.sql"))
    added = git("log", "-1", "--diff-filter=A", "--format=%H", "--", f"{MIGRATIONS}/{newest}")
    folder = TOP / "target" / "before"
    source, target, archive = folder / f"source-{added[:12]}", folder / "build", folder / "source.tar"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        # Tests of other workers want the same.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not source.exists():
            git("archive", "-o", str(archive), f"{added}^")
            unpacked = folder / "unpacked"
            shutil.rmtree(unpacked, ignore_errors=True)
            shutil.unpack_archive(archive, unpacked, filter="data")
            unpacked.rename(source)
        command = ["cargo", "build", "--release", "--locked", "--bins", "-p", "gateway", "-p", "reader", "--target-dir", str(target)]
        subprocess.run(command, check=True, cwd=source, timeout=BUILD_SECONDS_MAX)
    return target / "release"


def git(*words: str) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True, cwd=TOP).stdout.strip()


@contextmanager
def programs_of(folder: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCANPOST_BIN", str(folder))
        yield


class Studies:
    """One study for each place of the queue in which the version before leaves one."""

    def __init__(self, folder: Path):
        names = ("pulled", "mailed", "sealed", "held", "collecting")
        self.of = {name: tiny.generate(folder / name, IMAGES, seed=40 + number) for number, name in enumerate(names)}

    def all_but(self, *names: str) -> list[Path]:
        return [path for name, paths in self.of.items() if name not in names for path in paths]


def leave_a_full_queue(bench: Bench, studies: Studies) -> None:
    """What is mailed lies in the mailbox; then no mail server is there, and the gateway is killed while a study still comes."""
    bench.start(hold=HOLD)
    senders.storescu(bench.port, "DR_DEMO", studies.of["pulled"])
    bench.deliver_and_pull()
    senders.storescu(bench.port, "DR_DEMO", studies.of["mailed"])
    bench.gateway.wait_for_state("notified", "pulled", count=2)
    bench.store.wait_until_handed_over()
    bench.store.stop()
    senders.storescu(bench.port, HOLD, studies.of["held"])
    senders.storescu(bench.port, "DR_DEMO", studies.of["sealed"])
    bench.gateway.wait_for("the sealed one", lambda all: any(one["state"] == "sealed" for one in all))
    # Long enough to be killed while it collects.
    bench.gateway.stop()
    bench.start(settle_ms=60_000, silence_ms=60_000)
    senders.storescu(bench.port, "DR_DEMO", studies.of["collecting"])
    states = sorted(one["state"] for one in bench.gateway.deliveries())
    bench.gateway.kill()
    bench.configure(settle_ms=500, silence_ms=3_000)
    assert states[:3] == ["held", "notified", "pulled"] and set(states[3:]) <= {"received", "sealed"} and len(set(states)) == 5, states


def content(journal: Path, scratch: Path) -> str:
    """All that a journal says, its log of writes included: that may be taken over into the file by whoever closes it last."""
    for suffix in ("", "-wal"):
        if (of := journal.with_name(journal.name + suffix)).exists():
            shutil.copy(of, scratch / of.name)
    with closing(sqlite3.connect(scratch / journal.name)) as copy:
        said = [*copy.execute("PRAGMA user_version"), *copy.iterdump()]
    for path in scratch.glob(f"{journal.name}*"):
        path.unlink()
    return repr(said)


def copies(bench: Bench) -> set[str]:
    return {path.name for path in (bench.gateway.folder / "state" / "before-upgrade").glob("journal-*.sqlite")}


def test_a_full_queue_is_taken_over_and_each_study_arrives_once(before: Path, bench: Bench, tmp_path: Path):
    studies = Studies(tmp_path / "studies")
    with programs_of(before):
        leave_a_full_queue(bench, studies)
    bench.store.start()
    bench.gateway.start()
    assert len(copies(bench)) == 1, "the journal is copied before it is migrated"
    bench.gateway.wait_for_state("notified", "pulled", "held", count=5)
    # What the version before mailed, and what it sealed, opens.
    bench.pull()
    bench.gateway.wait_for_state("pulled", "held", count=5)
    harness.assert_equal_bytes(studies.all_but("held"), bench.reader.files())
    # And a reader of before opens what is sealed now.
    late = tiny.generate(tmp_path / "late", IMAGES, seed=60)
    senders.storescu(bench.port, "DR_DEMO", late)
    bench.gateway.wait_for_state("notified", "pulled", "held", count=6)
    with programs_of(before):
        bench.pull()
    harness.assert_equal_bytes([*studies.all_but("held"), *late], bench.reader.files())


def test_the_way_back_refuses_cleanly_and_goes_on_with_the_copy(before: Path, bench: Bench, tmp_path: Path):
    studies = Studies(tmp_path / "studies")
    with programs_of(before):
        leave_a_full_queue(bench, studies)
    # The mail server is still away: the version of now takes the queue over, and can send nothing.
    bench.gateway.start()
    bench.gateway.wait_for_state("pulled", "notified", "held", "sealed", count=5)
    assert bench.gateway.stop() == 0
    journal = bench.gateway.folder / "state" / "journal.sqlite"
    migrated = content(journal, tmp_path)
    with programs_of(before):
        with pytest.raises(RuntimeError, match="does not start"):
            bench.gateway.start()
        assert content(journal, tmp_path) == migrated, "a newer journal is left as it is"
        (copy,) = copies(bench)
        for suffix in ("", "-wal", "-shm"):
            journal.with_name(journal.name + suffix).unlink(missing_ok=True)
        shutil.copy(journal.parent / "before-upgrade" / copy, journal)
        bench.store.start()
        bench.gateway.start()
        bench.gateway.wait_for_state("notified", "pulled", "held", count=5)
        bench.pull()
        bench.gateway.wait_for_state("pulled", "held", count=5)
        harness.assert_equal_bytes(studies.all_but("held"), bench.reader.files())
        bench.gateway.stop()
    # The replay of this version reads no journal of before.
    bench.gateway.replays = False
