"""A mailbox that fills up is told of before a study does not arrive; a study that finds no room waits for a person to make some, and then arrives once.
Nothing is ever deleted to make room."""

import re
import subprocess
from pathlib import Path

import pytest
from lab import page
from lab.mail_store import MailStore, Options, StoreBehind, address
from lab.mailbox import Mailbox
from lab.portal import Portal
from lab.ports import free_port
from lab.reader import Reader
from peers import senders
from peers.imap_between import ImapBetween

import harness
from harness import Bench
from test_mail_faults import restart
from test_page import write_study
from test_portal import account, deliver, enrolled, home_of, portal, wait_until  # noqa: F401

QUOTA = "2M"
FOREIGN_BYTES = 20_000
FOREIGN = b"From: a@elsewhere.test\r\nSubject: Minutes\r\nMessage-ID: <%d.foreign@elsewhere.test>\r\n\r\n" + (b"m" * 76 + b"\r\n") * (FOREIGN_BYTES // 78)
# The portal asks from time to time.
TOLD_SECONDS_MAX = 60
PIECE_BYTES_MAX = 100_000


@pytest.fixture
def limited(store: MailStore, request: pytest.FixtureRequest):
    """The doctor's mailbox has 2 MB; afterwards the store is as it was."""
    restart(store, Options(quota={"doctor": QUOTA}, **getattr(request, "param", {})))
    yield store
    harness.empty_mailboxes(store)
    restart(store)


def used(mailbox: Mailbox) -> int:
    """Percent of the quota, as the owner's own mail program is told it."""
    (quota,) = mailbox.imap.getquotaroot("INBOX")[1][1]
    usage, limit = map(int, re.search(rb"STORAGE (\d+) (\d+)", quota).groups())
    return usage * 100 // limit


def fill(store: MailStore, percent: int) -> set[str]:
    """Other people's mail up to so much of the quota; gives their UIDs."""
    with Mailbox(store, "doctor") as mailbox:
        before = uids(mailbox)
        number = len(before)
        while used(mailbox) < percent:
            mailbox.append(FOREIGN % number)
            number += 1
        return uids(mailbox) - before


def uids(mailbox: Mailbox) -> set[str]:
    mailbox.imap.noop()
    return set(mailbox.imap.uid("SEARCH", "ALL")[1][0].decode().split())


def make_room(store: MailStore, mails: set[str]) -> None:
    """The doctor deletes them in a mail program."""
    with Mailbox(store, "doctor") as mailbox:
        mailbox.delete(*mails)


def pull_all(bench: Bench, count: int = 1) -> None:
    """Pulls until everything is here: what the mail server took before it saw that the mailbox is full waits in its queue and is tried again every 30 s."""
    wait_until(lambda: bench.reader.pull().returncode == harness.EXIT_DONE, "the last piece is here", 60)
    bench.gateway.wait_for_state("pulled", count=count)


def test_who_reads_the_mailbox_is_told_before_it_is_full(limited: MailStore, bench: Bench, portal, account):  # noqa: F811
    phone, _ = enrolled(portal, account)
    fill(bench.store, 70)
    with Mailbox(bench.store, "doctor") as mailbox:
        assert 70 <= used(mailbox) < 80
    assert home_of(phone)["full_percent"] is None
    assert "full" not in bench.pull() and "nearly full" not in portal.log.read_text()
    foreign = fill(bench.store, 85)
    with Mailbox(bench.store, "doctor") as mailbox:
        told = used(mailbox)
        all_mail = uids(mailbox)
    wait_until(lambda: home_of(phone)["full_percent"] == told, "the app is told", TOLD_SECONDS_MAX)
    assert phone.get("/api/deliveries").json["full_percent"] == told
    words = bench.pull()
    assert f"the mailbox is {told} % full" in words, words
    (line,) = [line for line in portal.log.read_text().splitlines() if "nearly full" in line]
    # The portal may have looked while it was being filled.
    assert 'mailbox="doctor"' in line and 80 <= int(re.search(r"percent=(\d+)", line)[1]) <= told and address("doctor") not in line, line
    with Mailbox(bench.store, "doctor") as mailbox:
        assert uids(mailbox) == all_mail, "nobody deletes anything"
    make_room(bench.store, foreign)
    wait_until(lambda: home_of(phone)["full_percent"] is None, "the app is told that there is room")
    assert "full" not in bench.pull()
    assert "the mailbox has room again" in portal.log.read_text()


def test_a_refused_study_arrives_once_after_room_was_made_and_try_again(limited: MailStore, bench: Bench, tmp_path: Path,
                                                                        ct_study: list[Path], mr_study: list[Path]):
    """552 in the middle of a delivery: some of its pieces lie in the mailbox already."""
    page.make_certificate(bench.keys)
    bench.start(page_lines=page.lines(bench.keys, bench.folder / "page.port"), piece_bytes_max=PIECE_BYTES_MAX)
    api = bench.api()
    older = write_study(tmp_path / "older", ct_study, "Older^Case", number=71, count=1)
    senders.pynetdicom(bench.port, "DR_DEMO", older)
    bench.deliver_and_pull()
    foreign = fill(bench.store, 88)
    with Mailbox(bench.store, "doctor") as mailbox:
        before = uids(mailbox)
    senders.pynetdicom(bench.port, "DR_DEMO", mr_study)
    failed = next(one for one in bench.gateway.wait_for_state("failed", "pulled", count=2) if one["state"] == "failed")
    assert re.search(r"552 5\.2\.2 .*mailbox is full, nothing in it is deleted for this; have room made there, then Try again", failed["trouble"]), failed
    (doctor,) = failed["doctors"]
    assert doctor["refused"]
    assert len(harness.messages(bench.store, "phone")) == 1, "nobody is told of a study that is not there"
    with Mailbox(bench.store, "doctor") as mailbox:
        arrived = uids(mailbox) - before
        assert before <= uids(mailbox), "the older case and foreign mail are all there"
    assert arrived, "the first pieces found room"
    make_room(bench.store, foreign)
    assert api.post(f"/deliveries/{failed['id']}/retry").status == 204
    bench.gateway.wait_for_state("notified", "pulled", count=2)
    pull_all(bench, count=2)
    harness.assert_equal_bytes([*older, *mr_study], bench.reader.files())
    names = [harness.header(message, "Message-ID") for message in harness.messages(bench.store, "doctor")]
    assert len(names) == len(set(names)), "each piece came once"
    assert len(harness.messages(bench.store, "phone")) == 2


@pytest.mark.parametrize("limited", [{"full_is_temporary": True}], indirect=True)
def test_a_study_that_is_to_wait_arrives_by_itself_after_room_was_made(limited: MailStore, bench: Bench, mr_study: list[Path]):
    """452: the server itself says that it may have room later."""
    bench.start(piece_bytes_max=PIECE_BYTES_MAX)
    foreign = fill(bench.store, 88)
    senders.pynetdicom(bench.port, "DR_DEMO", mr_study)
    (waiting,) = bench.gateway.wait_for("the refusal", lambda deliveries: deliveries and deliveries[0]["trouble"])
    assert waiting["state"] == "sealed"
    assert re.search(r"452 4\.2\.2 .*mailbox is full, nothing in it is deleted for this; have room made there, it is tried again by itself", waiting["trouble"])
    assert harness.messages(bench.store, "phone") == []
    make_room(bench.store, foreign)
    bench.gateway.wait_for_state(*harness.DONE, seconds=180)
    pull_all(bench)
    harness.assert_equal_bytes(mr_study, bench.reader.files())
    names = [harness.header(message, "Message-ID") for message in harness.messages(bench.store, "doctor")]
    assert len(names) == len(set(names)), "each piece came once"
    assert len(harness.messages(bench.store, "phone")) == 1


@pytest.fixture
def without_quota(store: MailStore):
    """Dovecot says that it has QUOTA only where the plugin is loaded."""
    configuration = store.dir / "dovecot" / "dovecot.conf"
    configuration.write_text(configuration.read_text().replace(" imap_quota ", " "))
    subprocess.run(["doveadm", "-c", configuration, "reload"], check=True, timeout=60)
    yield store
    restart(store)


def test_a_store_without_quota_has_nothing_said_of_it(without_quota: MailStore, bench: Bench, portal, account):  # noqa: F811
    with Mailbox(without_quota, "doctor") as mailbox:
        assert "QUOTA" not in mailbox.imap.capability()[1][0].decode().split()
    phone, _ = enrolled(portal, account)
    assert home_of(phone)["full_percent"] is None
    assert "full" not in bench.pull() and "full" not in portal.log.read_text()


SPOILT = {
    "numbers-beyond-64-bits": b"* QUOTAROOT INBOX u\r\n* QUOTA u (STORAGE 99999999999999999999 1)\r\nTAG OK done\r\n",
    "a-command-that-it-offers-and-does-not-know": b"TAG BAD what\r\n",
    "a-flood": b"* QUOTA u (STORAGE 1 2)\r\n" * 5_000 + b"TAG OK done\r\n",
    "words": b"* QUOTA u (STORAGE YAMADA^TARO)\r\nTAG OK done\r\n",
}


@pytest.mark.parametrize("kind", SPOILT)
def test_an_answer_about_the_quota_that_is_none_keeps_nobody_from_the_mail(kind: str, bench: Bench, ct_study: list[Path]):
    with ImapBetween(bench.store.dir / "tls", bench.store.imaps_port, "GETQUOTAROOT", SPOILT[kind]) as between:
        portal = Portal(bench.folder / "portal", bench.folder / "log" / "portal.log", bench.store, bench.keys, free_port(),  # noqa: F811
                        mailboxes=("doctor",), imaps_port=between.port)
        bench.extra_logs.append(portal.log)
        portal.start()
        try:
            phone, _ = enrolled(portal, portal.add_account("doctor"))
            wait_until(lambda: between.answered > 0, "it was asked")
            delivery = deliver(bench, ct_study)
            wait_until(lambda: [one["delivery"] for one in home_of(phone)["deliveries"]] == [delivery], "the delivery is listed")
            assert home_of(phone)["full_percent"] is None
        finally:
            portal.stop()
        assert between.answered == 1, "asked again after an hour at the earliest"
        told = portal.log.read_text()
        assert told.count("how full the mailbox is cannot be asked") == 1 and "cannot be read" not in told and "YAMADA" not in told, told
        reader = Reader(bench.folder / "between.toml", bench.folder / "between", StoreBehind(bench.store.dir, imaps_port=between.port), bench.keys, "doctor")
        assert "full" not in bench.pull(reader) and between.answered == 2
        harness.assert_equal_bytes(ct_study, reader.files())
