"""The audit trail: what is in it, that it fits the schema, that it reaches a foreign syslog server whole, and that nothing of it is in a log."""

import json
import re
import subprocess
from collections import Counter
from pathlib import Path

import pydicom
import pytest

from lab.programs import program
from lab.study import ct
from lab.syslog import Syslog
from peers import raw_store, senders
from peers.raw_store import RawAssociation

import harness
from harness import Bench, wait_until

SCHEMA = Path(__file__).resolve().parents[1] / "peers" / "audit-message.rng"
EXIT_DAMAGED = 3


def audit(bench: Bench, *arguments: str) -> subprocess.CompletedProcess:
    command = [program("scanpost-gateway"), "audit", *arguments, "--config", bench.gateway.config]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def trail(bench: Bench) -> Path:
    return bench.gateway.folder / "state" / "audit"


def kept(bench: Bench) -> list[str]:
    """The messages of the trail's files as syslog has them, without what chains them."""
    lines = [line for path in sorted(trail(bench).glob("trail-*.log")) for line in path.read_text().splitlines()]
    return [line[65:] for line in lines if line[65:].startswith("<")]


def events(bench: Bench) -> Counter:
    listed = audit(bench, "list", "--json")
    assert listed.returncode == 0, listed.stderr
    return Counter(json.loads(line)["event"] for line in listed.stdout.splitlines())


def xml(message: str) -> str:
    return message.split("\ufeff", 1)[1]


@pytest.fixture
def syslog(tmp_path: Path):
    server = Syslog(tmp_path / "syslog").make()
    server.start()
    yield server
    server.stop()


def test_a_study_leaves_its_trail_from_the_modality_to_the_doctor(bench: Bench, pacs, ct_study: list[Path], tmp_path: Path):
    """Every event of one delivery, with the patient's id; each message fits the schema; nothing of it is in the log."""
    bench.start(pacs_port=pacs.dicom_port)
    with pytest.raises(raw_store.Rejected):
        RawAssociation(bench.port, "NOBODY", ct.CT_IMAGE_STORAGE)
    pacs.know_gateway("scanpost", "DR_DEMO", bench.port)
    pacs.know_gateway("gateway", "SCANPOST", bench.port)
    study = {pacs.add_file(path) for path in ct_study}.pop()
    pacs.send("scanpost", [study])
    bench.deliver_and_pull()
    bench.gateway.stop()

    found = events(bench)
    for event, count in {
        "Application Activity": 2, "Security Alert": 1, "Begin Transferring DICOM Instances": 2, "Query": 1, "Export": 1,
        "Notice sent": 1, "DICOM Instances Transferred": 2, "DICOM Study Deleted": 1,
    }.items():
        assert found[event] >= count, found

    patient = str(pydicom.dcmread(ct_study[0]).PatientID)
    about = [message for message in kept(bench) if f'ParticipantObjectID="{patient}"' in message]
    assert len(about) == sum(found[event] for event in found if event not in ("Application Activity", "Security Alert", "Query"))
    for number, message in enumerate(kept(bench), start=1):
        assert f'[meta sequenceId="{number}"]' in message
        (tmp_path / f"{number}.xml").write_text(xml(message))
    checked = subprocess.run(
        ["xmllint", "--noout", "--relaxng", SCHEMA, *sorted(tmp_path.glob("*.xml"))], capture_output=True, text=True,
    )
    assert checked.returncode == 0, checked.stderr[:2000]

    for path in [trail(bench), *trail(bench).iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, f"{path} may be read by others"
    for log in bench.state_bytes():
        assert patient not in log.read_text(errors="replace")
    assert audit(bench, "verify").returncode == 0


def test_the_schema_can_refuse(tmp_path: Path):
    """A message with a wrong outcome does not pass, so the check above means something."""
    path = tmp_path / "wrong.xml"
    path.write_text('<AuditMessage><EventIdentification EventDateTime="2026-01-01T00:00:00Z" EventOutcomeIndicator="3"/></AuditMessage>')
    assert subprocess.run(["xmllint", "--noout", "--relaxng", SCHEMA, path], capture_output=True).returncode != 0


def test_changes_of_the_files_are_found_and_named(bench: Bench, ct_study: list[Path]):
    bench.start()
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study)
    bench.deliver_and_pull()
    bench.gateway.stop()
    (path,) = trail(bench).glob("trail-*.log")
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    other = whole.replace(b"DR_DEMO", b"DR_OTHR", 1)
    for changed in (other, b"".join(lines[:3] + lines[4:]), b"".join(lines[:-2]), whole + lines[-1]):
        path.write_bytes(changed)
        verdict = audit(bench, "verify", "--json")
        assert verdict.returncode == EXIT_DAMAGED
        assert json.loads(verdict.stdout)["fault"]["file"] == path.name
    assert "DAMAGED at message" in audit(bench, "verify").stderr
    path.write_bytes(whole)
    assert audit(bench, "verify").returncode == 0


def test_a_syslog_server_that_dies_in_the_middle_gets_everything(bench: Bench, syslog: Syslog, ct_study: list[Path]):
    """rsyslog over TLS, killed and started again: each message is in its file, byte for byte, and the operator was told of the gap."""
    bench.gateway.extra_configuration = syslog.settings()
    bench.start()
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study[:4])
    wait_until("the first messages", lambda: len(syslog.messages()) >= 2)
    syslog.kill()
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study[4:])
    bench.gateway.wait_for_state(*harness.DONE)
    wait_until("the operator to be told", lambda: "syslog server does not take" in bench.log.read_text())
    syslog.start()
    bench.deliver_and_pull()
    wait_until("all messages", lambda: set(kept(bench)) <= set(syslog.messages()))
    numbers = [int(re.search(r'sequenceId="(\d+)"', message)[1]) for message in syslog.messages()]
    assert set(syslog.messages()) == set(kept(bench)), "the server has something that the trail has not"
    print(f"{len(kept(bench))} messages, {len(numbers) - len(set(numbers))} of them twice")


def test_a_gateway_that_dies_leaves_a_trail_without_a_gap(bench: Bench, ct_study: list[Path]):
    """Killed as soon as instances are acknowledged, each on an association of its own: the study was announced before, once, what came in is
    told all the same, and the trail is intact when it goes on."""
    bench.start(silence_ms=60_000)
    for path in ct_study[:3]:
        senders.pynetdicom(bench.port, "DR_DEMO", [path])
    bench.gateway.kill()
    assert events(bench)["Begin Transferring DICOM Instances"] == 1
    bench.start(silence_ms=1_000)
    bench.deliver_and_pull()
    bench.gateway.stop()
    verdict = audit(bench, "verify")
    assert verdict.returncode == 0, verdict.stderr
    assert events(bench)["Application Activity"] == 3
    (came_in,) = [message for message in kept(bench) if 'EventActionCode="C"' in message]
    assert 'NumberOfInstances="3"' in came_in
