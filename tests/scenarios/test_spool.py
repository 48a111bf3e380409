"""The spool at rest: nothing in it is plain, its key is asked for in clear words, and neither a wrong key nor a change of mind loses a study."""

import json
import os
import sqlite3
import subprocess
import time
from pathlib import Path

import pydicom
import pytest

from lab import openssl
from lab.programs import program
from peers import senders

import harness
from harness import DONE, Bench

ENCRYPTED = b"SCPSPOOL"
WAITS = {"silence_ms": 600_000, "settle_ms": 600_000}
GOES_ON = {"silence_ms": 500, "settle_ms": 100}
WAIT_SECONDS_MAX = 30
DAYS_MS = 2 * 24 * 60 * 60 * 1000


def state(bench: Bench) -> Path:
    return bench.gateway.folder / "state"


def spool_files(bench: Bench) -> list[Path]:
    return sorted(path for path in (state(bench) / "spool").rglob("*") if path.is_file())


def is_sealed(path: Path) -> bool:
    """Pieces and covers are ciphertext for the doctors."""
    return "seal" in path.parts


def with_key(bench: Bench, content: bytes) -> None:
    openssl.write_secret(bench.gateway.spool_key, content)


def refused_start(bench: Bench) -> str:
    result = subprocess.run([program("scanpost-gateway"), "serve", "--config", bench.gateway.config], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1, result
    return result.stderr


def restart(bench: Bench, **settings: object) -> None:
    bench.gateway.stop()
    bench.start(**settings)


def test_nothing_in_the_spool_is_plain_at_any_stage(bench: Bench, mr_study: list[Path]):
    bench.start(near="2", residual="on_request", **WAITS)
    senders.pynetdicom(bench.port, "DR_DEMO", mr_study)
    received = spool_files(bench)
    assert len(received) == len(mr_study) and all(path.read_bytes().startswith(ENCRYPTED) for path in received)
    restart(bench, **GOES_ON)
    bench.deliver_and_pull()
    # Kept for who asks for exact files; the rest goes just after the state says so.
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while len(spool_files(bench)) > 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    (bundle,) = spool_files(bench)
    assert bundle.suffix == ".bundle" and bundle.read_bytes().startswith(ENCRYPTED)
    case = bench.gateway.deliveries()[0]["case"]
    bench.pull(arguments=("--ask-exact", case))
    bench.gateway.wait_for_state(*DONE, count=2)
    bench.pull(arguments=("--exact",))
    exact = sorted((bench.reader.output / case / "0002").rglob("*.dcm"))
    harness.assert_equal_bytes(mr_study, exact)


def test_temporary_files_are_encrypted_too(bench: Bench, ct_study: list[Path]):
    """Caught in the middle of an object, and of a bundle: what a crash would leave."""
    bench.start(**GOES_ON)
    seen: dict[str, bytes] = {}
    def look(_: int) -> None:
        for path in spool_files(bench):
            if not is_sealed(path):
                try:
                    seen[path.suffix] = path.read_bytes()[:8] or seen.get(path.suffix, b"")
                except FileNotFoundError:
                    continue
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study, after_each=look)
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while ".unfinished" not in seen or not seen[".unfinished"]:
        look(0)
        assert time.monotonic() < deadline, f"no bundle was seen while it was written: {seen}"
    bench.deliver_and_pull()
    assert {start for start in seen.values() if start} == {ENCRYPTED}, seen


@pytest.mark.parametrize("wrong,words", [
    ("no key named", "operator: name a file with 32 random bytes in [spool] key_file"),
    ("file missing", "operator: put the key of the spool there"),
    ("readable by others", "operator: chmod 600 it"),
    ("too short", "operator: it must be 32 random bytes"),
])
def test_without_its_key_the_gateway_does_not_start_and_says_who_must_act(bench: Bench, wrong: str, words: str):
    bench.start()
    bench.gateway.stop()
    key = bench.gateway.spool_key
    if wrong == "no key named":
        config = bench.gateway.config
        config.write_text("".join(line for line in config.read_text().splitlines(keepends=True) if not line.startswith("key_file")))
    elif wrong == "file missing":
        key.unlink()
    elif wrong == "readable by others":
        key.chmod(0o640)
    else:
        with_key(bench, os.urandom(31))
    said = refused_start(bench)
    assert words in said, said


def test_another_key_is_refused_at_the_start_and_nothing_is_lost(bench: Bench, ct_study: list[Path]):
    bench.start(**WAITS)
    assert senders.pynetdicom(bench.port, "DR_DEMO", ct_study) == ct_study
    bench.gateway.stop()
    right = bench.gateway.spool_key.read_bytes()
    with_key(bench, os.urandom(32))
    before = [(path, path.read_bytes()) for path in spool_files(bench)]
    said = refused_start(bench)
    assert "encrypted under another key (operator: put the key back that [spool] had" in said, said
    assert [(path, path.read_bytes()) for path in spool_files(bench)] == before
    with_key(bench, right)
    bench.start(**GOES_ON)
    bench.deliver_and_pull()
    harness.assert_equal_bytes(ct_study, bench.reader.files())


def test_off_still_reads_what_was_encrypted_and_needs_its_key_until_then(bench: Bench, ct_study: list[Path], mr_study: list[Path]):
    bench.start(**WAITS)
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study)
    restart(bench, encryption="off", **WAITS)
    senders.pynetdicom(bench.port, "DR_DEMO", mr_study)
    starts = [path.read_bytes()[:8] for path in spool_files(bench)]
    assert starts.count(ENCRYPTED) == len(ct_study) and len(starts) == len(ct_study) + len(mr_study)
    bench.gateway.stop()
    config = bench.gateway.config
    config.write_text("".join(line for line in config.read_text().splitlines(keepends=True) if not line.startswith("key_file")))
    said = refused_start(bench)
    assert "studies in the spool are encrypted (operator: name their key in [spool] key_file" in said, said
    bench.start(**GOES_ON)
    bench.deliver_and_pull(count=2)
    harness.assert_equal_bytes(ct_study + mr_study, bench.reader.files())


def test_a_plain_spool_of_before_is_read_when_encryption_is_on(bench: Bench, ct_study: list[Path]):
    bench.start(encryption="off", **WAITS)
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study[:6])
    restart(bench, encryption="on", **WAITS)
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study[6:])
    starts = [path.read_bytes()[:8] for path in spool_files(bench)]
    assert starts.count(ENCRYPTED) == len(ct_study) - 6
    restart(bench, **GOES_ON)
    bench.deliver_and_pull()
    harness.assert_equal_bytes(ct_study, bench.reader.files())


def test_the_key_of_a_case_that_is_over_is_destroyed(bench: Bench, ct_study: list[Path]):
    # Before the case itself ends.
    bench.gateway.extra_configuration = "[case]\nexpire_hours = 720\n"
    bench.start(**GOES_ON)
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study)
    bench.deliver_and_pull()
    bench.gateway.stop()
    key = case_key(bench)
    assert key and key in journal_bytes(bench)
    with sqlite3.connect(state(bench) / "journal.sqlite") as journal:
        journal.execute("UPDATE study_case SET opened_at_ms = opened_at_ms - ?", (DAYS_MS,))
        journal.execute("UPDATE running SET ms = ms + ?", (DAYS_MS,))
    bench.gateway.start()
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while "the key of this case is destroyed" not in bench.log.read_text():
        assert time.monotonic() < deadline, "the key is not destroyed"
        time.sleep(0.1)
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while key in journal_bytes(bench):
        assert time.monotonic() < deadline, "journal or its log still hold the key"
        time.sleep(0.1)
    assert case_key(bench) is None
    # A later press is a new case.
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study)
    first, second = bench.deliver_and_pull(count=2)
    assert first["case"] != second["case"]


def test_no_patient_is_in_any_byte_of_the_journal_and_another_key_takes_over(bench: Bench, ct_study: list[Path]):
    header = pydicom.dcmread(ct_study[0], stop_before_pixels=True)
    planted = [str(header.PatientID).encode(), str(header.PatientName).encode()]
    bench.start(**WAITS)
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study)
    rotate = [program("scanpost-gateway"), "spool", "rotate-key", "--config", bench.gateway.config]
    refused = subprocess.run(rotate, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1 and "operator: stop it" in refused.stderr, refused
    bench.gateway.stop()
    assert not [part for part in planted if part in journal_bytes(bench)]
    before = bench.gateway.spool_key.read_bytes()
    done = subprocess.run(rotate, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "keys of 1 cases, 1 patients" in done.stdout, done
    after = bench.gateway.spool_key.read_bytes()
    assert after != before and bench.gateway.spool_key.stat().st_mode & 0o777 == 0o600
    assert not [path for path in bench.gateway.folder.iterdir() if path.name.startswith("spool.key.")]
    with_key(bench, before)
    assert "encrypted under another key" in refused_start(bench)
    with_key(bench, after)
    bench.start(**GOES_ON)
    bench.deliver_and_pull()
    harness.assert_equal_bytes(ct_study, bench.reader.files())
    # The receipt is told with the patient.
    trail = subprocess.run([program("scanpost-gateway"), "audit", "list", "--json", "--config", bench.gateway.config], capture_output=True, timeout=60)
    told = [json.loads(line) for line in trail.stdout.splitlines()]
    received = [line for line in told if line["event"] == "DICOM Instances Transferred" and planted[0].decode() in str(line["objects"])]
    assert len(received) >= 2, trail.stdout[-2000:]
    assert not [part for part in planted if part in journal_bytes(bench)]


def case_key(bench: Bench) -> bytes | None:
    with sqlite3.connect(f"file:{state(bench)}/journal.sqlite?mode=ro", uri=True) as journal:
        return journal.execute("SELECT spool_key FROM study_case ORDER BY opened_at_ms").fetchone()[0]


def journal_bytes(bench: Bench) -> bytes:
    return b"".join(path.read_bytes() for path in state(bench).glob("journal.sqlite*"))
