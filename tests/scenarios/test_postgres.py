"""The journal in PostgreSQL: a study goes its whole way although the gateway is killed and the database is cut off, and a second gateway is refused."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import openssl
from lab.gateway import Gateway
from lab.postgres import Postgres
from lab.programs import program
from lab.study import ct
from peers import senders

import harness
from harness import Bench


@pytest.fixture()
def server(scratch: Path, bench: Bench) -> Iterator[Postgres]:
    """The bench's gateway keeps its journal there."""
    folder = scratch / f"postgres-{bench.folder.name}"
    server = Postgres(folder, bench.folder / "log" / "postgres.log").start()
    bench.extra_logs.append(server.log)
    keep_journal_in(bench.gateway, server)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def big_study(scratch: Path) -> list[Path]:
    """Large enough that each stage lasts longer than a look at it."""
    folder = scratch / "big-postgres"
    folder.mkdir()
    ct.generate(folder, 60, seed=22)
    return sorted(folder.glob("*.dcm"))


def keep_journal_in(gateway: Gateway, server: Postgres) -> None:
    url_file = gateway.folder / "postgres.url"
    gateway.folder.mkdir(parents=True, exist_ok=True)
    openssl.write_secret(url_file, f"{server.url}\n".encode())
    gateway.extra_configuration = f'[journal]\npostgres_url_file = "{url_file}"\n'


def test_a_killed_gateway_goes_on_and_delivers_once(bench: Bench, server: Postgres, big_study: list[Path]):
    bench.start(silence_ms=500, piece_bytes_max=100_000)
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
    (delivery,) = bench.deliver_and_pull()
    assert delivery["instances"] == len(big_study)
    harness.assert_equal_bytes(big_study, bench.reader.files())


def test_a_second_gateway_on_the_same_database_is_refused(bench: Bench, server: Postgres, tmp_path: Path):
    bench.start()
    second = Gateway(tmp_path / "second", tmp_path / "second.log", bench.store, bench.keys, bench.settings)
    keep_journal_in(second, server)
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
