"""The mail store is away, refuses, or is not the one it should be: a clear reason, and nothing is lost."""

import re
from pathlib import Path

import pytest

from lab.mail_store import MailStore, Options
from peers import senders

import harness
from harness import Bench


@pytest.fixture
def changed_store(store: MailStore):
    """A store that the scenario may stop and start with faults; afterwards it is as it was."""
    yield store
    store.stop()
    store.start()


def restart(store: MailStore, options: Options | None = None) -> None:
    store.stop()
    store.start(options)


def test_an_unknown_mailbox_is_a_dead_letter_with_a_reason(bench: Bench, ct_study: list[Path]):
    bench.start(mailboxes={"doctor": "nobody@scanpost.test"})
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study)
    (delivery,) = bench.gateway.wait_for_state("failed")
    words = trouble(delivery)
    assert "550" in words and "nobody@scanpost.test" in words, words
    assert harness.messages(bench.store, "phone") == []


def test_the_store_is_down_and_comes_back(bench: Bench, changed_store: MailStore, ct_study: list[Path]):
    bench.start()
    changed_store.stop()
    assert senders.pynetdicom(bench.port, "DR_DEMO", ct_study) == ct_study
    waiting = bench.gateway.wait_for("a failed attempt", lambda deliveries: deliveries and deliveries[0]["attempts"] >= 1)
    assert waiting[0]["state"] == "sealed" and waiting[0]["trouble"]
    changed_store.start()
    bench.deliver_and_pull(seconds=180)
    harness.assert_equal_bytes(ct_study, bench.reader.files())


def test_a_refused_login_is_said_and_mended_without_loss(bench: Bench, changed_store: MailStore, ct_study: list[Path], is_long: bool):
    restart(changed_store, Options(refuse_login=["gateway"]))
    bench.start()
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study)
    (delivery,) = bench.gateway.wait_for("the refusal", lambda deliveries: deliveries and deliveries[0]["trouble"])
    assert "535" in trouble(delivery) or "login" in trouble(delivery).lower(), trouble(delivery)
    assert changed_store.password("gateway") not in bench.logs()
    restart(changed_store)
    if not is_long:
        # An operator's fault is tried again only after a minute or two; the long run waits for that.
        bench.gateway.stop()
        bench.gateway.start()
    bench.deliver_and_pull(seconds=240)
    harness.assert_equal_bytes(ct_study, bench.reader.files())


@pytest.mark.parametrize("kind", ["wrong-ca", "wrong-name"])
def test_a_wrong_certificate_gets_no_byte_of_mail_or_password(bench: Bench, changed_store: MailStore, ct_study: list[Path], kind: str):
    restart(changed_store, Options(certificate=kind))
    logins = login_lines(changed_store)
    bench.start()
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study)
    (delivery,) = bench.gateway.wait_for("the refusal", lambda deliveries: deliveries and deliveries[0]["trouble"])
    assert re.search("certificate", trouble(delivery), re.IGNORECASE), trouble(delivery)
    assert login_lines(changed_store) == logins
    restart(changed_store)
    bench.deliver_and_pull(seconds=240)
    harness.assert_equal_bytes(ct_study, bench.reader.files())


def test_the_reader_refuses_a_wrong_certificate_too(bench: Bench, changed_store: MailStore):
    restart(changed_store, Options(certificate="wrong-ca"))
    words = bench.pull(expect=harness.EXIT_MAILBOX)
    assert re.search("certificate", words, re.IGNORECASE), words


def test_a_full_mailbox_is_said_and_nothing_is_thrown_away(bench: Bench, changed_store: MailStore, mr_study: list[Path]):
    restart(changed_store, Options(quota={"doctor": "200k"}))
    bench.start()
    senders.pynetdicom(bench.port, "DR_DEMO", mr_study)
    (delivery,) = bench.gateway.wait_for("the refusal", lambda deliveries: deliveries and deliveries[0]["trouble"])
    assert delivery["state"] in ("sealed", "failed")
    assert re.search("552|full|quota", trouble(delivery), re.IGNORECASE), trouble(delivery)
    assert harness.messages(bench.store, "phone") == []


def test_a_message_size_below_the_piece_is_said(bench: Bench, changed_store: MailStore, mr_study: list[Path]):
    restart(changed_store, Options(message_size_limit=100_000))
    bench.start()
    senders.pynetdicom(bench.port, "DR_DEMO", mr_study)
    (delivery,) = bench.gateway.wait_for("the refusal", lambda deliveries: deliveries and deliveries[0]["trouble"])
    assert "100000 bytes" in trouble(delivery) and "piece_bytes_max" in trouble(delivery), trouble(delivery)


def trouble(delivery: dict) -> str:
    """All the report says is wrong, for the delivery and for its doctors."""
    return " ".join(filter(None, [delivery["trouble"], *(doctor["refused"] for doctor in delivery["doctors"])]))


def login_lines(store: MailStore) -> int:
    """How often somebody logged in to Postfix; with a refused certificate nobody may come that far."""
    return (store.dir / "log" / "postfix.log").read_text(errors="replace").count("sasl_username=")
