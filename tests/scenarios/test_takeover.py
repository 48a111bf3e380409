"""Two gateways on one database and one state folder: whatever becomes of the one that works, the other takes over, and each study arrives once."""

import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.gateway import Gateway
from lab.postgres import Postgres
from lab.programs import program
from peers import senders
from peers.postgres_between import PostgresBetween

import harness
from harness import Bench

# Longer than a gateway that stands still holds its lock (15 s), on a busy machine.
TAKEOVER_SECONDS_MAX = 90
WAITS = "waits to take over"
ENDED = "another gateway has taken this database over"
SILENT = "the database does not answer, and another gateway may have taken it over"


class Pair:
    """The bench's gateway works; the other one waits."""

    def __init__(self, bench: Bench, server: Postgres, folder: Path):
        self.bench = bench
        self.other = Gateway(folder / "other", folder / "log" / "other.log", bench.store, bench.keys, bench.settings)
        self.other.state, self.other.spool_key = bench.gateway.state, bench.gateway.spool_key
        bench.extra_logs.append(self.other.log)
        for gateway in self.both:
            harness.keep_journal_in(gateway, server, shared=True)

    @property
    def both(self) -> list[Gateway]:
        return [self.bench.gateway, self.other]

    def start(self, **settings: object) -> None:
        self.bench.start(**settings)
        self.let_wait(self.other)

    def let_wait(self, gateway: Gateway) -> None:
        """Started beside one that works."""
        said = words(gateway).count(WAITS)
        gateway.launch()
        harness.wait_until("the other gateway waits", lambda: words(gateway).count(WAITS) > said)
        assert not gateway.port_file.exists()

    def take_over(self) -> Gateway:
        """The other one is the bench's from here on; who it took over from comes back."""
        self.other.wait_until_open(TAKEOVER_SECONDS_MAX)
        self.bench.gateway, self.other = self.other, self.bench.gateway
        return self.other

    def go_on(self, stopped: Gateway) -> None:
        """One that stood still goes on, and ends by itself."""
        before = files(stopped.state)
        os.kill(stopped.child.pid, signal.SIGCONT)
        harness.wait_until("who was taken over from ends", lambda: not stopped.child.is_running(), TAKEOVER_SECONDS_MAX)
        assert ENDED in words(stopped)
        assert before - files(stopped.state) == set(), "who was taken over from has deleted something"

    def end(self) -> None:
        for gateway in self.both:
            if gateway.child and gateway.child.is_running():
                os.kill(gateway.child.pid, signal.SIGCONT)
                gateway.stop()
        # One after the other wrote it, and nobody else.
        verify = [program("scanpost-gateway"), "audit", "verify", "--config", self.bench.gateway.config]
        result = subprocess.run(verify, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0 and "intact" in result.stdout, result.stdout + result.stderr
        assert len(list(self.bench.gateway.state.glob("taken.*"))) == 1


@pytest.fixture()
def pair(bench: Bench, postgres: Postgres, tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(bench, postgres, tmp_path)
    yield pair
    pair.end()


def words(gateway: Gateway) -> str:
    return gateway.log.read_text() if gateway.log.exists() else ""


def files(state: Path) -> set[Path]:
    return {path for path in state.glob("taken.*/spool/*/**/*") if path.is_file()}


def is_sending(deliveries: list[dict]) -> bool:
    return len(deliveries) == 1 and deliveries[0]["accepted_parts"] >= 2


def while_it_compresses(gateway: Gateway) -> None:
    gateway.wait_for_state("assembled")


def while_it_seals(gateway: Gateway) -> None:
    """Quicker than a look through the journal."""
    harness.wait_until("the first piece", lambda: any(gateway.state.glob("taken.*/spool/seal/*/*")), every_s=0.001)


def while_it_sends(gateway: Gateway) -> None:
    gateway.wait_for("two accepted parts", is_sending)


def once(bench: Bench, sent: list[Path]) -> None:
    """Here, whole, once; and at the next pull nothing comes anew."""
    bench.wait_for_instances(len(sent), seconds=180)
    bench.deliver_and_pull()
    harness.assert_equal_bytes(sent, bench.reader.files())
    bench.pull()
    harness.assert_equal_bytes(sent, bench.reader.files())


def test_the_other_takes_over_from_one_that_was_killed(pair: Pair, bench: Bench, big_study: list[Path]):
    pair.start(silence_ms=500, piece_bytes_max=100_000)
    senders.pynetdicom(bench.port, "DR_DEMO", big_study)
    bench.gateway.wait_for("two accepted parts", is_sending)
    bench.gateway.kill()
    killed = pair.take_over()
    # It comes back, and waits.
    pair.let_wait(killed)
    once(bench, big_study)


def test_the_other_takes_over_from_one_that_stands_still_and_that_one_does_nothing_afterwards(
    pair: Pair, bench: Bench, big_study: list[Path], seed: int,
):
    """Stopped (SIGSTOP) at a stage that the seed chooses, as a machine that hangs or a disk that does not answer: it knows of nothing, and goes on when all is
    done."""
    reach = (while_it_seals, while_it_sends, while_it_compresses)[seed % 3]
    pair.start(silence_ms=500, piece_bytes_max=100_000)
    senders.pynetdicom(bench.port, "DR_DEMO", big_study)
    reach(bench.gateway)
    os.kill(bench.gateway.child.pid, signal.SIGSTOP)
    stopped = pair.take_over()
    once(bench, big_study)
    pair.go_on(stopped)
    once(bench, big_study)


def test_images_that_come_while_one_stands_still_are_sent_again_to_the_other(pair: Pair, bench: Bench, big_study: list[Path]):
    """And it goes on in the middle of what the other does."""
    pair.start(silence_ms=6_000)
    stored: list[Path] = []

    def stop_at(count: int) -> None:
        if count == 20:
            os.kill(bench.gateway.child.pid, signal.SIGSTOP)

    stored += senders.pynetdicom(bench.port, "DR_DEMO", big_study, after_each=stop_at, answer_s=3)
    assert 20 <= len(stored) < len(big_study)
    stopped = pair.take_over()
    missing = [path for path in big_study if path not in stored]
    half = missing[: len(missing) // 2]
    assert senders.pynetdicom(bench.port, "DR_DEMO", half) == half
    pair.go_on(stopped)
    rest = missing[len(half):]
    assert senders.pynetdicom(bench.port, "DR_DEMO", rest) == rest
    once(bench, big_study)


def test_one_that_no_longer_reaches_the_database_says_yes_to_nothing_and_ends(pair: Pair, bench: Bench, postgres: Postgres, big_study: list[Path]):
    """Its network is cut, not its work: senders come to it still, until it closes its port so that they are led to the other one."""
    with PostgresBetween(postgres.port) as between:
        harness.keep_journal_in(bench.gateway, postgres, between.port, shared=True)
        pair.start(silence_ms=2_000, piece_bytes_max=100_000)
        assert senders.pynetdicom(bench.port, "DR_DEMO", big_study[:40]) == big_study[:40]
        bench.gateway.wait_for("two accepted parts", is_sending)
        between.go_down()
        cut = bench.gateway
        assert senders.pynetdicom(cut.port, "DR_DEMO", big_study[40:], answer_s=60) == []
        harness.wait_until("who was cut off ends", lambda: not cut.child.is_running(), TAKEOVER_SECONDS_MAX)
        assert SILENT in words(cut)
        pair.take_over()
        assert senders.pynetdicom(bench.port, "DR_DEMO", big_study[40:]) == big_study[40:]
        # While the way is down still it waits for the database, and then for the other one.
        cut.launch()
        harness.wait_until("it waits for the database", lambda: "whether another gateway works is not known" in words(cut))
        between.is_down = False
        harness.wait_until("it waits for the other one", lambda: WAITS in words(cut))
        once(bench, big_study)


def test_again_and_again_by_a_seed(pair: Pair, bench: Bench, big_study: list[Path], seed: int, is_long: bool):
    """Killed, told to stop, or made to stand still at any moment, and back to wait."""
    chance = random.Random(seed)
    pair.start(silence_ms=300, settle_ms=100, piece_bytes_max=100_000)
    left = list(big_study)
    for _ in range(12 if is_long else 3):
        sender = threading.Thread(target=lambda: left.__setitem__(slice(None), unsent(bench.port, left)))
        sender.start()
        threading.Event().wait(chance.uniform(0, 3))
        working = bench.gateway
        way = chance.choice(["kill", "stop", "stand still"])
        if way == "kill":
            working.kill()
        elif way == "stop":
            working.stop()
        else:
            os.kill(working.child.pid, signal.SIGSTOP)
        sender.join()
        before = pair.take_over()
        if way == "stand still":
            pair.go_on(before)
        pair.let_wait(before)
    assert unsent(bench.port, left) == []
    once(bench, big_study)


def unsent(port: int, paths: list[Path]) -> list[Path]:
    """What of them is still to be sent: a sender knows of each whether it was answered with success."""
    stored = senders.pynetdicom(port, "DR_DEMO", paths, answer_s=5) if paths else []
    return [path for path in paths if path not in stored]


def test_states_of_another_kind_and_databases_that_are_older_are_refused(pair: Pair, bench: Bench, postgres: Postgres):
    bench.start()
    bench.gateway.stop()

    def refused() -> str:
        result = subprocess.run([program("scanpost-gateway"), "serve", "--config", bench.gateway.config], capture_output=True, text=True, timeout=60)
        assert result.returncode != 0
        return result.stderr

    # An older copy of the database, an older one of the folder, and a disk that is not mounted.
    postgres.ask("UPDATE gateway_start SET number = 0, taken = 0")
    assert "is not the state that this database was last worked with, which was taken.0" in refused()
    postgres.ask("UPDATE gateway_start SET number = 5, taken = 4")
    assert "taken.1 is not the state that this database was last worked with, which was taken.4 (operator" in refused()
    (bench.gateway.state / "taken.1").rename(bench.folder / "elsewhere")
    assert "was last worked with in taken.4 (operator: is the disk mounted?" in refused()
    (bench.folder / "elsewhere").rename(bench.gateway.state / "taken.4")
    shared = bench.gateway.extra_configuration
    bench.gateway.extra_configuration = shared.replace("shared_state = true\n", "")
    bench.gateway.write_configuration()
    assert "shared_state = true; for a gateway by itself" in refused()
    bench.gateway.extra_configuration = "[journal]\nshared_state = true\n"
    bench.gateway.write_configuration()
    assert "needs journal.postgres_url_file" in refused()
    bench.gateway.extra_configuration = shared
    bench.gateway.start()
