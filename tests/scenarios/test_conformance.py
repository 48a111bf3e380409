"""docs/conformance.md says what a running gateway agrees on: SOP classes, transfer syntaxes, roles and identity by real associations; limits and codes are those
of the program, and of the tests that force them."""

import re
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import CTImageStorage

from lab import page
from peers import senders
from peers.documents import rows, section
from peers.negotiation import IMPLICIT_LITTLE, Asked, NotingPacs, known, propose

import harness
from harness import Bench
from test_dicom_grid import LIES
from test_query_retrieve import command, pacs_table, study_uid

TOP = Path(__file__).resolve().parents[2]
STATEMENT = (TOP / "docs" / "conformance.md").read_text()
ANNEXES = (TOP / "docs" / "conformance-sop-classes.md").read_text()
UID = r"(?:\d+\.)+\d+"
VERIFICATION = "1.2.840.10008.1.1"
PRIVATE_CLASS, PRIVATE_SYNTAX = "1.3.46.670589.11.0.0.12.1", "1.3.6.1.4.1.99999.1"
STUDY_FIND, STUDY_GET, STUDY_MOVE = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 3, 2))
PATIENT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"


def annex(heading: str) -> dict[str, tuple[str, str]]:
    """UIDs with name and mark."""
    found = {uid: (name, mark) for name, uid, mark in rows(section(ANNEXES, heading))}
    assert len(found) == len(rows(section(ANNEXES, heading))), "a UID stands twice"
    return found


def identity() -> tuple[str, int]:
    """Implementation class UID and maximum length of RECEIVE."""
    said = dict(row[:2] for row in rows(section(STATEMENT, "### 4.1 RECEIVE")))
    return said["implementation class UID"], int(said["maximum length received"])


def test_what_a_running_gateway_accepts_is_what_the_statement_lists(bench: Bench):
    bench.start()
    classes = known("SOP Class", "Meta SOP Class")
    agreed = propose(bench.port, "DR_DEMO", [(uid, [IMPLICIT_LITTLE]) for uid in [*classes, PRIVATE_CLASS]])
    accepted = {uid for uid, _ in agreed.accepted}
    assert accepted - {VERIFICATION, PRIVATE_CLASS} == annex("## Annex A: SOP classes").keys() and {VERIFICATION, PRIVATE_CLASS} <= accepted
    assert {name for name, _ in annex("## Annex A: SOP classes").values()} <= set(classes.values())
    assert_identity(agreed.identity)

    syntaxes = [*known("Transfer Syntax"), PRIVATE_SYNTAX]
    taken = propose(bench.port, "DR_DEMO", [(CTImageStorage, [syntax]) for syntax in syntaxes]).accepted
    assert {syntax for _, syntax in taken} - {PRIVATE_SYNTAX} == annex("## Annex B: transfer syntaxes").keys()
    assert all(first == answer for (_, first), answer in taken.items()) and len(taken) == len(syntaxes)
    # The first one wins, whichever that is.
    turned = propose(bench.port, "DR_DEMO", [(CTImageStorage, list(pair)) for pair in zip(syntaxes, syntaxes[1:], strict=False)]).accepted
    assert all(first == answer for (_, first), answer in turned.items()) and len(turned) == len(syntaxes) - 1


def assert_identity(said: tuple[str, str, int]) -> None:
    uid, name, length = said
    assert (uid, length) == identity() and re.fullmatch(r"SCANPOST_[\w.]{1,7}", name)


@pytest.fixture
def noting(bench: Bench, ct_study: list[Path]):
    """Asks a PACS as the arguments say; gives the associations that this took."""
    started: list[NotingPacs] = []

    def ask(*arguments: str, lines: tuple[str, ...] = (), names_classes: bool = True, succeeds: bool = True) -> list[Asked]:
        pacs = NotingPacs(ct_study[:3], names_classes)
        started.append(pacs)
        bench.gateway.extra_configuration = pacs_table("noting", "NOTING", pacs.port, *lines)
        bench.configure(hold=page.HOLD).gateway.write_configuration()
        command(bench, *arguments, succeeds=succeeds)
        return pacs.asked

    yield ask
    for pacs in started:
        pacs.stop()


def proposed() -> dict[str, tuple[str, str]]:
    """Transfer syntaxes and role of each abstract syntax that FETCH proposes by itself."""
    table = rows(section(STATEMENT, "### 4.2 FETCH"))
    return {row[1]: (row[2], row[3]) for row in table if len(row) == 4 and re.fullmatch(UID, row[1])}


def test_what_the_gateway_proposes_to_a_pacs_is_what_the_statement_lists(noting, ct_study: list[Path]):
    study = study_uid(ct_study)
    asked = [*noting("find", "--name", "X*"), *noting("find", "--name", "X*", lines=('root = "patient"',)), *noting("list", study)]
    fetched = noting("fetch", study, "--called", page.HOLD)
    unnamed = noting("fetch", study, "--called", page.HOLD, "--unlisted", names_classes=False)
    moved = noting("fetch", study, "--called", page.HOLD, lines=('retrieve = "move"',), succeeds=False)
    everything = [*asked, *fetched, *unnamed, *moved]
    services = {abstract for one in everything for abstract, _ in one.contexts if abstract in known("SOP Class") and "Query/Retrieve" in known("SOP Class")[abstract]}
    assert services == proposed().keys() == {STUDY_FIND, STUDY_GET, STUDY_MOVE, PATIENT_FIND}
    for one in everything:
        assert_identity(one.identity)
        for abstract, syntaxes in one.contexts:
            if abstract in services:
                assert (",".join(syntaxes), "SCU") == proposed()[abstract] and abstract not in one.scp_roles

    marked = annex("## Annex B: transfer syntaxes")
    uncompressed, compressed = ({uid for uid, (_, mark) in marked.items() if mark == kind} for kind in ("uncompressed", "compressed"))
    assert uncompressed and compressed
    # The PACS named one class: a context for each syntax.
    (got,) = [one for one in fetched if one.contexts[0][0] == STUDY_GET]
    assert got.scp_roles == {CTImageStorage}
    assert sorted(got.contexts[1:]) == sorted((str(CTImageStorage), (syntax,)) for syntax in uncompressed | compressed)
    # It named none: two for each of the common ones.
    (got,) = [one for one in unnamed if one.contexts[0][0] == STUDY_GET]
    common = {uid for uid, (_, mark) in annex("## Annex A: SOP classes").items() if mark == "asked for"}
    assert got.scp_roles == common and f"the {len(common)} that are marked" in STATEMENT
    assert sorted((abstract, tuple(sorted(syntaxes))) for abstract, syntaxes in got.contexts[1:]) == sorted(
        (abstract, tuple(sorted(kind))) for abstract in common for kind in (uncompressed, compressed))
    (asked_to_move,) = [one for one in moved if one.contexts[0][0] == STUDY_MOVE]
    assert len(asked_to_move.contexts) == 1 and not asked_to_move.scp_roles


def test_codes_are_those_that_tests_force():
    receive = section(STATEMENT, "### 4.1 RECEIVE")
    statuses = {int(row[0][:4], 16) for row in rows(receive) if re.fullmatch(r"[0-9A-F]{4}H", row[0])}
    constants = {int(value, 16) for value in re.findall(r": u16 = 0x([0-9A-F]{4});", (TOP / "dimse/src/lib.rs").read_text().split("mod status")[1].split("\n}")[0])}
    assert {said.status for _, said in LIES.values() if said.status is not None} <= statuses <= constants
    rejections = {tuple(map(int, row[:3])) for row in rows(receive) if len(row) == 4 and row[0].isdigit()}
    assert rejections == {said.rejected for _, said in LIES.values() if said.rejected} | {(2, 3, 1)}
    aborts = set(map(int, re.findall(r"(\d) (?:the PDU|un|in)", receive.split("**Aborts**")[1].split("\n")[0])))
    assert aborts == {said.aborted for _, said in LIES.values() if said.aborted is not None}


def test_limits_and_file_meta_are_those_of_the_program():
    source = "".join((TOP / path).read_text() for path in ("dimse/src/limits.rs", "gateway/src/receive/limits.rs"))
    told = {row[2].strip("`"): int(row[1]) for row in rows(section(STATEMENT, "## 5 Network")) if len(row) == 3}
    assert len(told) >= 12
    for name, value in told.items():
        expression = re.search(rf"pub const {name}: \w+ = ([^;]+);", source)[1]
        seconds = re.fullmatch(r"Duration::from_secs\((\d+)\)", expression)
        assert value == int(seconds[1]) if seconds else value == eval(expression.replace("_", ""), {}), name
    written = re.findall(rf"\| ({UID}) \|", section(STATEMENT, "### 7.4 File meta information"))
    assert len(written) == 3
    sources = [TOP / path for path in ("reader/src/pull/dicom_file.rs", "gateway/src/smime/survey.rs", "compressor/src/bin/scanpost-pack/meta.rs")]
    assert [uid in path.read_text() for uid, path in zip(written, sources, strict=True)] == [True] * 3


def test_files_carry_the_identity_that_the_statement_names(bench: Bench, ct_study: list[Path]):
    bench.start()
    (uid, *_) = re.findall(rf"\| ({UID}) \|", section(STATEMENT, "### 7.4 File meta information"))
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study[:2])
    bench.deliver_and_pull()
    assert {pydicom.dcmread(path).file_meta.ImplementationClassUID for path in bench.reader.files()} == {uid}
    harness.assert_equal_bytes(ct_study[:2], bench.reader.files())
