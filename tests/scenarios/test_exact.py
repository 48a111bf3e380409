"""Exact files of a study that was mailed within a bound: with the delivery, on request, or never."""

import re
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from lab import compare, mail_store
from lab.reader import Reader
from peers import senders

import harness
from harness import DONE, EXIT_DONE, EXIT_INCOMPLETE, Bench

EXACT = ("--exact",)
NEAR = "2"


def deliver(bench: Bench, study: list[Path], residual: str, destination: str = "DR_DEMO", **settings: object) -> dict:
    """The study in the mailbox, within a bound."""
    bench.start(near=NEAR, residual=residual, settle_ms=100, silence_ms=500, **settings)
    senders.pynetdicom(bench.port, destination, study)
    (delivery,) = bench.gateway.wait_for_state(*DONE)
    assert 0 < delivery["max_error"] <= int(NEAR)
    return delivery


def ask(bench: Bench, case: str, reader: Reader | None = None, expect: int = EXIT_DONE) -> str:
    return bench.pull(reader, expect, ("--ask-exact", case))


def residual_in_mailbox(bench: Bench, count: int = 2) -> dict:
    """Waits until the residual is submitted; gives its delivery."""
    deliveries = bench.gateway.wait_for_state(*DONE, count=count)
    (residual,) = [delivery for delivery in deliveries if delivery["residual_of"]]
    return residual


def files_in(bench: Bench, case: str, name: str, reader: Reader | None = None) -> list[Path]:
    return sorted(((reader or bench.reader).output / case / name).rglob("*.dcm"))


def mailbox_bytes(bench: Bench, user: str = "doctor") -> int:
    return sum(len(message.content) for message in harness.messages(bench.store, user))


def identifiers(bench: Bench, part: str, user: str = "doctor") -> list[str]:
    names = [harness.header(message, "Message-ID") for message in harness.messages(bench.store, user)]
    return [name for name in names if part in name]


def assert_exact(sent: list[Path], pulled: list[Path]) -> None:
    harness.assert_equal_bytes(sent, pulled)
    harness.assert_equal_elements(sent, pulled)


def assert_shown(sent: list[Path], pulled: list[Path]) -> None:
    result = compare.compare_folders(sent, pulled)
    assert result.equal and result.bounded > 0 and 0 < result.max_error <= int(NEAR), result


def spool_files(bench: Bench) -> list[Path]:
    return [path for path in (bench.folder / "gateway" / "state" / "spool").rglob("*") if path.is_file()]


def test_at_once_exact_files_come_instead_of_derived_ones(bench: Bench, mr_study: list[Path]):
    case = deliver(bench, mr_study, "at_once")["case"]
    words = bench.pull(arguments=EXACT)
    assert "exact: every file is as it came" in words and "marked as derived" not in words
    assert files_in(bench, case, "0001") == bench.reader.files()
    assert_exact(mr_study, bench.reader.files())
    bench.gateway.wait_for_state("pulled")


def test_at_once_exact_files_come_after_derived_ones(bench: Bench, mr_study: list[Path]):
    case = deliver(bench, mr_study, "at_once")["case"]
    assert "exact files are in the mailbox" in bench.pull()
    shown = {path: path.read_bytes() for path in bench.reader.files()}
    assert_shown(mr_study, list(shown))
    bench.pull(arguments=EXACT)
    assert_exact(mr_study, files_in(bench, case, "0001-exact"))
    assert {path: path.read_bytes() for path in files_in(bench, case, "0001")} == shown
    before = {path: path.stat().st_mtime_ns for path in bench.reader.files()}
    assert "1 delivery was pulled before" in bench.pull(arguments=EXACT)
    assert {path: path.stat().st_mtime_ns for path in bench.reader.files()} == before


def test_exact_files_whose_mails_are_gone(bench: Bench, mr_study: list[Path]):
    deliver(bench, mr_study, "at_once")
    bench.pull()
    before = bench.reader.files()
    harness.empty_mailboxes(bench.store)
    assert "no longer in the mailbox" in bench.pull(expect=EXIT_INCOMPLETE, arguments=EXACT)
    assert bench.reader.files() == before


def test_on_request(bench: Bench, mr_study: list[Path], record_property):
    base = deliver(bench, mr_study, "on_request")
    case = base["case"]
    bounded_bytes = mailbox_bytes(bench)
    assert base["residual_bytes"] > 0 and base["bundle_bytes"] - base["residual_bytes"] < bounded_bytes
    assert f"--ask-exact {case}" in bench.pull()
    assert_shown(mr_study, bench.reader.files())
    bench.gateway.wait_for_state("pulled")
    # What else there was is deleted once the receipt is in the journal.
    harness.wait_until("the bundle alone", lambda: [path.suffix for path in spool_files(bench)] == [".bundle"])
    assert "can be asked for until" in bench.pull(expect=EXIT_INCOMPLETE, arguments=EXACT)

    receipts = mailbox_bytes(bench)
    assert "are asked for" in ask(bench, case)
    residual = residual_in_mailbox(bench)
    assert (residual["residual_of"], residual["case"], residual["sequence"]) == (base["id"], case, 2)
    assert residual["doctors"][0]["exact_asked_at"] and not residual["doctors"][0]["notified_at_ms"]
    assert len(harness.messages(bench.store, "phone")) == 1, "no second alarm"
    residual_bytes = mailbox_bytes(bench) - receipts
    bench.pull()
    assert_exact(mr_study, files_in(bench, case, "0002"))
    assert_shown(mr_study, files_in(bench, case, "0001"))
    bench.gateway.wait_for_state("pulled", count=2)
    assert spool_files(bench) == []
    assert "its exact files are here already" in ask(bench, case)

    sent_bytes = sum(path.stat().st_size for path in mr_study)
    figures = {"files": sent_bytes, "mailbox_bounded": bounded_bytes, "mailbox_residual": residual_bytes}
    record_property("figures", figures)
    print(figures)
    for path in bench.state_bytes():
        assert b"1.2.826" not in path.read_bytes(), path


def test_asked_again_and_read_again_it_goes_once(bench: Bench, mr_study: list[Path]):
    case = deliver(bench, mr_study, "on_request")["case"]
    bench.pull()
    ask(bench, case)
    residual_in_mailbox(bench)
    # The doctor's second machine knows nothing of the first request.
    again = Reader(bench.folder / "reader" / "again.toml", bench.folder / "pulled" / "again", bench.store, bench.keys)
    shutil.copytree(bench.reader.output / case, again.output / case)
    covers = identifiers(bench, ".cover@")
    request = ask_signed_again(bench, again, case)
    assert len(request) >= 2, "two requests lie in the mailbox"
    bench.gateway.kill()
    bench.gateway.start()
    threading.Event().wait(2)
    assert len(bench.gateway.deliveries()) == 2
    assert identifiers(bench, ".cover@") == covers and len(set(covers)) == 2
    bench.pull(arguments=EXACT)
    assert_exact(mr_study, files_in(bench, case, "0002"))


def ask_signed_again(bench: Bench, reader: Reader, case: str) -> list[str]:
    """Asks while the residual is out of sight, as a request that crossed it would; gives all requests in the mailbox."""
    from lab.mailbox import Mailbox
    with Mailbox(bench.store, "doctor") as mailbox:
        covers = [message for message in mailbox.messages() if ".cover@" in harness.header(message, "Message-ID")]
        hidden = covers[-1]
        mailbox.delete(hidden.uid)
        threading.Event().wait(1.1)  # Requests have whole seconds.
        assert "are asked for" in ask(bench, case, reader)
        mailbox.append(hidden.content)
    return identifiers(bench, ".exact_wanted.")


def test_a_colleague_is_not_bothered_and_can_have_it_too(bench: Bench, mr_study: list[Path]):
    case = deliver(bench, mr_study, "on_request", "ON_CALL", destinations={"ON_CALL": ["doctor", "doctor2"]})["case"]
    colleague = bench.reader_of("doctor2")
    bench.pull()
    bench.pull(colleague)
    ask(bench, case)
    residual_in_mailbox(bench)
    bench.pull()
    assert "pull --exact" in bench.pull(colleague)
    assert files_in(bench, case, "0002", colleague) == []
    bench.gateway.wait_for_state("pulled", count=2)
    bench.pull(colleague, arguments=EXACT)
    for reader in (bench.reader, colleague):
        assert_exact(mr_study, files_in(bench, case, "0002", reader))
    # The colleague's receipt came when nothing of the study was in the spool any more.
    named = [("Exact files asked for", 1), ("DICOM Study Deleted", 1), ('EventActionCode="R".*DICOM Instances Transferred', 4)]
    for event, count in named:
        bench.gateway.wait_for(f"{count} of {event}", lambda _: len(told(bench, event)) == count)
    assert not [line for event, _ in named for line in told(bench, event) if "(none)" in line]


def test_strangers_are_refused(bench: Bench, mr_study: list[Path]):
    """Another doctor of the site, in the own mailbox and in that of the recipient."""
    destinations = {"DR_DEMO": ["doctor"], "OTHER": ["doctor2"]}
    case = deliver(bench, mr_study, "on_request", destinations=destinations)["case"]
    bench.pull()
    bench.gateway.wait_for_state("pulled")
    stranger = bench.reader_of("doctor2")
    shutil.copytree(bench.reader.output, stranger.output)
    ask(bench, case, stranger)
    bench.wait_for_log("by a doctor whom the delivery was not for: refused")
    intruder = Reader(bench.folder / "reader" / "intruder.toml", bench.folder / "pulled" / "intruder", bench.store, bench.keys, "doctor2")
    shutil.copytree(bench.reader.output, intruder.output)
    text = intruder.config.read_text().replace(f'user = "{mail_store.address("doctor2")}"', f'user = "{mail_store.address("doctor")}"')
    intruder.config.write_text(text.replace(str(bench.store.password_file("doctor2")), str(bench.store.password_file("doctor"))))
    ask(bench, case, intruder)
    bench.wait_for_log("a receipt was refused")
    (delivery,) = bench.gateway.deliveries()
    assert delivery["doctors"][0]["exact_asked_at"] is None
    assert told(bench, "Receipt refused") and not told(bench, "Exact files asked for")


def test_never(bench: Bench, mr_study: list[Path]):
    case = deliver(bench, mr_study, "never")["case"]
    assert "exact files cannot be had" in bench.pull(expect=EXIT_INCOMPLETE, arguments=EXACT)
    assert_shown(mr_study, bench.reader.files())
    assert "exact files cannot be had" in ask(bench, case, expect=EXIT_INCOMPLETE)
    bench.gateway.wait_for_state("pulled")
    assert identifiers(bench, ".exact_wanted.") == [] and spool_files(bench) == []


def test_deleted_before_it_was_asked_for(bench: Bench, mr_study: list[Path]):
    case = deliver(bench, mr_study, "on_request")["case"]
    bench.pull()
    bench.gateway.wait_for_state("pulled")
    bench.gateway.stop()
    with sqlite3.connect(bench.folder / "gateway" / "state" / "journal.sqlite") as journal:
        journal.execute("UPDATE delivery SET residual_until_ms = 1")
    bench.gateway.start()
    bench.gateway.wait_for("the residual's end", lambda deliveries: deliveries[0]["residual_gone_at_ms"])
    bench.wait_for_log("its residual is deleted")
    assert spool_files(bench) == []
    ask(bench, case)
    (delivery,) = bench.gateway.wait_for("the answer", lambda deliveries: deliveries[0]["remark"])
    assert "doctor doctor asked for exact files, but its residual is deleted" in delivery["remark"] and not delivery["trouble"]
    assert "have not come yet" in bench.pull(expect=EXIT_INCOMPLETE, arguments=EXACT)


@pytest.mark.parametrize("pauses", [(0.0, 0.05, 0.1, 0.2), (0.3, 0.5, 0.7), (0.4, 0.9, 1.3)])
def test_killed_again_and_again_it_goes_once(bench: Bench, mr_study: list[Path], pauses: tuple[float, ...]):
    case = deliver(bench, mr_study, "on_request", piece_bytes_max=30_000)["case"]
    bench.pull()
    bench.gateway.wait_for_state("pulled")
    ask(bench, case)
    for pause in pauses:
        threading.Event().wait(pause)
        bench.gateway.kill()
        bench.gateway.start()
    residual_in_mailbox(bench)
    bench.pull(arguments=EXACT)
    bench.gateway.wait_for_state("pulled", count=2)
    assert len(bench.gateway.deliveries()) == 2 and len(set(identifiers(bench, ".cover@"))) == 2
    assert_exact(mr_study, files_in(bench, case, "0002"))


def test_killed_between_two_pieces(bench: Bench, mr_study: list[Path]):
    case = deliver(bench, mr_study, "on_request", piece_bytes_max=10_000)["case"]
    bench.pull()
    bench.gateway.wait_for_state("pulled")
    bench.gateway.kill()
    ask(bench, case)  # The request waits in the mailbox while nobody reads it.
    bench.gateway.start()
    deliveries = bench.gateway.wait_for("the second accepted piece", lambda all_: len(all_) == 2 and all_[1]["accepted_parts"] >= 2)
    bench.gateway.kill()
    assert deliveries[1]["state"] == "sealed", "the pieces went too quickly to be interrupted"
    bench.gateway.start()
    residual = residual_in_mailbox(bench)
    assert residual["id"] == deliveries[1]["id"]
    bench.pull()
    assert_exact(mr_study, files_in(bench, case, "0002"))


def told(bench: Bench, event: str) -> list[str]:
    """Messages of the audit trail that match."""
    trail = sorted((bench.gateway.folder / "state" / "audit").glob("trail-*.log"))
    return [line for path in trail for line in path.read_text().splitlines() if re.search(event, line)]
