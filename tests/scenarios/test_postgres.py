"""The journal in PostgreSQL: a study goes its whole way although the gateway is killed and the database is cut off, and a second gateway is refused."""

import os
import subprocess
import threading
import time
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


@pytest.fixture()
def server(postgres: Postgres, bench: Bench) -> Postgres:
    """The bench's gateway keeps its journal there."""
    harness.keep_journal_in(bench.gateway, postgres)
    return postgres


@pytest.fixture()
def between(server: Postgres, bench: Bench) -> Iterator[PostgresBetween]:
    """The bench's gateway reaches its journal through it."""
    with PostgresBetween(server.port) as between:
        harness.keep_journal_in(bench.gateway, server, between.port)
        yield between


def test_a_killed_gateway_goes_on_and_delivers_once(bench: Bench, server: Postgres, big_study: list[Path]):
    bench.start(silence_ms=2_000, piece_bytes_max=100_000)
    assert not (bench.gateway.folder / "state" / "journal.sqlite").exists()
    senders.pynetdicom(bench.port, "DR_DEMO", big_study)
    bench.gateway.wait_for("two accepted parts", lambda deliveries: deliveries[0]["accepted_parts"] >= 2)
    (delivery,) = bench.gateway.deliveries()
    assert delivery["state"] == "sealed", "the pieces went too quickly to be interrupted"
    bench.gateway.kill()
    bench.gateway.start()
    (delivery,) = bench.deliver_and_pull()
    assert delivery["instances"] == len(big_study)
    harness.assert_equal_bytes(big_study, bench.reader.files())
    assert server.ask("SELECT state, count(*) FROM delivery GROUP BY state") == "pulled|1"


def test_a_database_that_is_cut_off_loses_nothing_and_is_taken_up_again(bench: Bench, server: Postgres, big_study: list[Path]):
    """What was acknowledged to the sender is there after it; what was not, the sender sends again, as a PACS does."""
    bench.start(silence_ms=6_000)
    reached, stored = threading.Event(), []

    def send() -> None:
        stored.extend(senders.pynetdicom(bench.port, "DR_DEMO", big_study, after_each=lambda count: count == 20 and reached.set()))

    sender = threading.Thread(target=send)
    sender.start()
    assert reached.wait(60)
    server.cut()
    assert bench.gateway.child.is_running()
    server.start()
    sender.join()
    missing = [path for path in big_study if path not in stored]
    if missing:
        assert senders.pynetdicom(bench.port, "DR_DEMO", missing) == missing
    # Once more while stages are under way, and for longer.
    bench.gateway.wait_for_state("received", "assembled", "compressed", "sealed", "submitted", "notified")
    server.cut()
    time.sleep(3)
    assert bench.gateway.child.is_running()
    server.start()
    bench.wait_for_instances(len(big_study), seconds=180)
    # What came after a pause that the cut made is a supplement.
    assert sum(one["instances"] for one in bench.deliver_and_pull()) == len(big_study)
    harness.assert_equal_bytes(big_study, bench.reader.files())


def test_images_whose_commit_was_not_answered_are_kept(bench: Bench, server: Postgres, between: PostgresBetween, ct_study: list[Path]):
    """Several senders wait for one commit: it is done, and nobody says so."""
    first, *others = ct_study[:4]
    bench.start(silence_ms=15_000)
    between.held = harness.uid_of(first).encode()
    stored: list[Path] = []

    def send(path: Path) -> None:
        stored.extend(senders.pynetdicom(bench.port, "DR_DEMO", [path], answer_s=60))

    def begin(path: Path) -> threading.Thread:
        thread = threading.Thread(target=send, args=(path,))
        thread.start()
        return thread

    threads = [begin(first)]
    assert between.holds.wait(30)
    # While the first commit is held, the others wait for the next one: durable, and not in the journal.
    threads += [begin(path) for path in others]
    received = bench.gateway.folder / "state" / "spool" / "receive"
    harness.wait_until("all images are in the spool", lambda: len([path for path in received.iterdir() if path.suffix != ".part"]) == 4)
    time.sleep(1)
    between.lost = harness.uid_of(others[0]).encode()
    between.released.set()
    assert between.was_lost.wait(30)
    for thread in threads:
        thread.join()
    shared = [path for path in others if harness.uid_of(path).encode() in (between.sent or b"")]
    assert len(shared) >= 2, "the images did not share a commit"
    missing = [path for path in ct_study[:4] if path not in stored]
    if missing:
        assert senders.pynetdicom(bench.port, "DR_DEMO", missing) == missing
    (delivery,) = bench.deliver_and_pull()
    assert delivery["instances"] == 4
    harness.assert_equal_bytes(ct_study[:4], bench.reader.files())


def test_an_image_whose_commit_was_not_answered_is_kept_until_it_is_sent_again(
    bench: Bench, server: Postgres, between: PostgresBetween, ct_study: list[Path],
):
    """The database is gone right after the commit, for longer than anybody waits: the sender is told no, and sends again."""
    image = ct_study[0]
    bench.start(silence_ms=5_000)
    between.lost, between.goes_down = harness.uid_of(image).encode(), True
    assert senders.pynetdicom(bench.port, "DR_DEMO", [image], answer_s=120) == []
    assert between.was_lost.is_set() and server.ask("SELECT count(*) FROM instance") == "1"
    between.is_down = False
    assert senders.pynetdicom(bench.port, "DR_DEMO", [image], answer_s=60) == [image]
    (delivery,) = bench.deliver_and_pull()
    assert delivery["instances"] == 1
    harness.assert_equal_bytes([image], bench.reader.files())


def test_an_image_that_is_gone_from_the_spool_is_taken_when_it_comes_again(bench: Bench, server: Postgres, ct_study: list[Path]):
    """A row alone is no image: the same bytes are no duplicate of what is not there."""
    bench.start(silence_ms=8_000)
    assert senders.pynetdicom(bench.port, "DR_DEMO", ct_study[:2]) == ct_study[:2]
    for path in (bench.gateway.folder / "state" / "spool" / "receive").iterdir():
        path.unlink()
    assert senders.pynetdicom(bench.port, "DR_DEMO", ct_study[:2]) == ct_study[:2]
    (delivery,) = bench.deliver_and_pull()
    assert delivery["instances"] == 2
    harness.assert_equal_bytes(ct_study[:2], bench.reader.files())


def test_a_second_gateway_on_the_same_database_is_refused(bench: Bench, server: Postgres, tmp_path: Path):
    bench.start()
    second = Gateway(tmp_path / "second", tmp_path / "second.log", bench.store, bench.keys, bench.settings)
    harness.keep_journal_in(second, server)
    second.write_configuration()
    result = subprocess.run([program("scanpost-gateway"), "serve", "--config", second.config], capture_output=True, text=True, timeout=60)
    assert result.returncode != 0
    assert "another gateway works with this database (operator: stop it first" in result.stderr, result.stderr
    # Killed, not stopped: its connection goes with it.
    bench.gateway.kill()
    assert second.start().child.is_running()
    second.stop()


def test_commands_say_what_they_do_about_it(bench: Bench, server: Postgres, tmp_path: Path):
    bench.start()

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [program("scanpost-gateway"), *map(str, arguments), "--config", bench.gateway.config]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert run("deliveries").returncode == 0
    refused = run("backup", "--to", tmp_path / "backup")
    assert refused.returncode != 0 and "pg_dump" in refused.stderr and not (tmp_path / "backup").exists(), refused.stderr
    # A server that would lose what it acknowledged is refused, beside a gateway and at its start.
    server.ask("ALTER DATABASE scanpost SET synchronous_commit = off")
    checked = run("check")
    assert "synchronous_commit = on" in checked.stdout, checked.stdout + checked.stderr
    assert "journal.postgres_url_file" in checked.stdout
    bench.gateway.stop()
    result = run("serve")
    assert result.returncode != 0 and "synchronous_commit = on (operator" in result.stderr, result.stderr
    os.chmod(bench.gateway.folder / "postgres.url", 0o644)
    result = run("serve")
    assert result.returncode != 0 and "chmod 600" in result.stderr, result.stderr
