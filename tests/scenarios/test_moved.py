"""A doctor's mail program, or a filter, moves mails of Scanpost to other folders: they are found there, and when their case ends they are deleted
there, and nobody else's mail is."""

import json
import math
import subprocess
import threading
import time
from pathlib import Path

import pytest
from lab.api import Api
from lab.mail_store import MailStore, StoreBehind, address
from lab.mailbox import Mailbox
from lab.portal import Portal
from lab.reader import Reader
from peers.imap_between import ImapBetween
from peers.unruly import Unruly

import harness
from harness import Bench
from test_ending import FORGOTTEN_SECONDS_MAX, PATIENT, api, holding, needles, of, press, proofs, study, until  # noqa: F401
from test_page import write_study
from test_portal import account, enrolled, portal, wait_until  # noqa: F401

# Modified UTF-7 (RFC 3501 5.1.3) of 保管 below Archive; a name with a blank.
FOLDERS = ("Junk", "Archive", "Archive/&T92hew-", "Deleted Items")
FOREIGN = b"From: a@elsewhere.test\r\nSubject: Minutes\r\nMessage-ID: <minutes@elsewhere.test>\r\n\r\nfrom the meeting\r\n"
# Of our own kind, of another site.
OTHER_SITE = FOREIGN.replace(b"minutes@", b"abababababababababababababababab.1@")
PIECE_BYTES_MAX = 60_000
# The portal idles in one folder and looks into the others once in a minute.
PORTAL_SECONDS_MAX = 90
SECONDS_MAX = 60
UNRULY_SEEDS_LONG, KINDS_OF_ACTS = 20, 8


@pytest.fixture
def folders(store: MailStore):
    """The doctor's folders, each with somebody else's mail; afterwards they are gone."""
    with Mailbox(store, "doctor") as mailbox:
        for folder in FOLDERS:
            mailbox.imap.create(f'"{folder}"')
        for folder in ("INBOX", *FOLDERS):
            for mail in (FOREIGN, OTHER_SITE):
                assert mailbox.imap.append(f'"{folder}"', None, None, mail)[0] == "OK"
    yield FOLDERS
    with Mailbox(store, "doctor") as mailbox:
        for folder in reversed(FOLDERS):
            mailbox.imap.select(f'"{folder}"')
            mailbox.empty()
            mailbox.imap.select("INBOX")
            if folder != "Junk":
                assert mailbox.imap.delete(f'"{folder}"')[0] == "OK"


def in_folder(store: MailStore, folder: str) -> list[str]:
    """Message-IDs."""
    with Mailbox(store, "doctor") as mailbox:
        assert mailbox.imap.select(f'"{folder}"', readonly=True)[0] == "OK"
        return [harness.header(message, "Message-ID") for message in mailbox.messages()]


def foreign(store: MailStore) -> list[list[str]]:
    theirs = ("<minutes@elsewhere.test>", "<abababababababababababababababab.1@elsewhere.test>")
    return [[name for name in in_folder(store, folder) if name in theirs] for folder in ("INBOX", *FOLDERS)]


def move(store: MailStore, name: str, to: str, where: str = "INBOX") -> bool:
    """As a mail program does (RFC 6851). False where it is no longer there."""
    with Mailbox(store, "doctor") as mailbox:
        mailbox.imap.select(f'"{where}"')
        found = mailbox.imap.uid("SEARCH", "HEADER", "Message-ID", name)[1][0].decode().split()
        return bool(found) and mailbox.imap.uid("MOVE", ",".join(found), f'"{to}"')[0] == "OK"


def copy(store: MailStore, name: str, to: str) -> None:
    with Mailbox(store, "doctor") as mailbox:
        mailbox.imap.select("INBOX")
        found = mailbox.imap.uid("SEARCH", "HEADER", "Message-ID", name)[1][0].decode()
        assert mailbox.imap.uid("COPY", found, f'"{to}"')[0] == "OK"


def pieces(store: MailStore, delivery: str, folder: str = "INBOX") -> list[str]:
    return [name for name in in_folder(store, folder) if name.startswith(f"<{delivery}.") and name.split(".")[1].split("@")[0].isdigit()]


@pytest.fixture
def in_pieces(bench: Bench, api: Api, folders) -> None:  # noqa: F811
    """A gateway that makes several mails of a study."""
    bench.gateway.stop()
    bench.settings.piece_bytes_max = PIECE_BYTES_MAX
    bench.gateway.start()


@pytest.fixture
def pressed(bench: Bench, api: Api, study: list[Path], in_pieces) -> str:  # noqa: F811
    """A case of several pieces, which have arrived."""
    return press(bench, api, study)


def scatter(store: MailStore, delivery: str) -> list[str]:
    """Moves all pieces but one to the folders in turn; gives to which."""
    moved = []
    for number, name in enumerate(pieces(store, delivery)[1:]):
        moved.append(FOLDERS[number % len(FOLDERS)])
        assert move(store, name, moved[-1])
    return moved


def empty_on_disk(bench: Bench, searched: dict[str, bytes], began: float) -> None:
    left: list[str] = ["unsearched"]
    while left and time.monotonic() - began < FORGOTTEN_SECONDS_MAX:
        left = holding(bench.store.dir / "mailboxes", searched)
        time.sleep(0.5)
    assert not left, left


def test_pieces_that_were_moved_are_read_and_deleted_where_they_are(bench: Bench, api: Api, portal: Portal, account, study: list[Path],  # noqa: F811
                                                                    pressed: str):
    phone, _ = enrolled(portal, account)
    delivery = of(bench, pressed)["id"]
    before = foreign(bench.store)
    searched = needles(study, delivery)
    moved = scatter(bench.store, delivery)
    assert set(moved) == set(FOLDERS)
    copy(bench.store, pieces(bench.store, delivery)[0], "Archive")
    number = len(moved) + 1
    # Junk is looked into like INBOX.
    elsewhere = sum(folder != "Junk" for folder in moved)
    wait_until(lambda: phone.ranges(delivery, [(number, 0, 4_000)]).status == 200, "the portal reads a piece that was moved", PORTAL_SECONDS_MAX)
    assert phone.ranges(delivery, [(number + 1, 0, 4_000)]).error == "piece_missing"
    words = bench.pull()
    assert f"{elsewhere} of its {number} mails had been moved to other folders of the mailbox and were found there" in words, words
    assert len(bench.reader.files()) == len(study)
    until(bench, pressed, "the receipt", lambda one: one["state"] == "pulled")
    assert holding(bench.store.dir / "mailboxes", searched), "the search can find it"
    began = time.monotonic()
    assert api.post(f"/studies/{pressed}/close").status == 204
    until(bench, pressed, "the proof", lambda one: one["ended"] and one["ended"]["proved_at_ms"])
    print(f"closed: proved after {time.monotonic() - began:.1f} s")
    empty_on_disk(bench, searched, began)
    print(f"nothing is left after {time.monotonic() - began:.1f} s")
    assert foreign(bench.store) == before, "what is not of this case is untouched"
    (mailbox,) = said(bench)["mailboxes"]
    assert mailbox["empty_at_ms"] and mailbox["arrived"]
    assert mailbox["removed"] == number + 1, "each piece once, and the cover; no receipt"
    assert (mailbox["folders"], mailbox["folders_unsearched"]) == (1 + len(FOLDERS), 0)


def said(bench: Bench) -> dict:
    (proof,) = proofs(bench)
    return json.loads(proof[2 + int.from_bytes(proof[:2], "big"):])


def test_nothing_is_deleted_in_a_mailbox_of_somebody_else(bench: Bench, api: Api, study: list[Path], pressed: str):  # noqa: F811
    """Mails of the very same delivery lie in the mailbox of another doctor, in which the gateway's login may delete, too."""
    delivery = of(bench, pressed)["id"]
    with Mailbox(bench.store, "doctor") as mailbox:
        mails = [message.content for message in mailbox.messages() if f"<{delivery}.".encode() in message.content]
    with Mailbox(bench.store, "doctor2") as mailbox:
        for folder in ("INBOX", "Junk"):
            for mail in mails:
                assert mailbox.imap.append(folder, None, None, mail)[0] == "OK"
    bench.pull()
    until(bench, pressed, "the receipt", lambda one: one["state"] == "pulled")
    assert api.post(f"/studies/{pressed}/close").status == 204
    until(bench, pressed, "the proof", lambda one: one["ended"] and one["ended"]["proved_at_ms"])
    assert not pieces(bench.store, delivery)
    with Mailbox(bench.store, "doctor2") as mailbox:
        for folder in ("INBOX", "Junk"):
            mailbox.imap.select(folder)
            assert len(mailbox.messages()) == len(mails) > 1, folder
            mailbox.empty()


def test_a_receipt_that_was_moved_is_gone_when_that_is_proved(bench: Bench, api: Api, study: list[Path], pressed: str):  # noqa: F811
    delivery = of(bench, pressed)["id"]
    bench.pull()
    until(bench, pressed, "the receipt", lambda one: one["state"] == "pulled")
    receipts = [name for name in in_folder(bench.store, "INBOX") if name.startswith(f"<{delivery}.fetched.")]
    assert receipts and all(move(bench.store, name, "Archive") for name in receipts)
    assert api.post(f"/studies/{pressed}/close").status == 204
    until(bench, pressed, "the proof", lambda one: one["ended"] and one["ended"]["proved_at_ms"])
    left = {folder: [name for name in in_folder(bench.store, folder) if delivery in name] for folder in ("INBOX", *FOLDERS)}
    assert not any(left.values()), left
    assert said(bench)["mailboxes"][0]["empty_at_ms"]


def test_a_mail_program_that_goes_on_moving_them_hides_nothing(bench: Bench, api: Api, study: list[Path], pressed: str):  # noqa: F811
    delivery = of(bench, pressed)["id"]
    before = foreign(bench.store)
    bench.pull()
    until(bench, pressed, "the receipt", lambda one: one["state"] == "pulled")
    names = pieces(bench.store, delivery)
    scatter(bench.store, delivery)
    ended, moves = threading.Event(), []

    def go_on() -> None:
        # Never through the folder that is watched all the time.
        for turn in range(1_000):
            if ended.is_set():
                return
            name = names[turn % len(names)]
            where = next((folder for folder in FOLDERS if move(bench.store, name, FOLDERS[(FOLDERS.index(folder) + 1) % len(FOLDERS)], folder)), None)
            moves.append(where)

    mover = threading.Thread(target=go_on)
    mover.start()
    try:
        wait_until(lambda: any(moves), "the first move")
        began = time.monotonic()
        assert api.post(f"/studies/{pressed}/close").status == 204
        until(bench, pressed, "the proof", lambda one: one["ended"] and one["ended"]["proved_at_ms"])
        assert mover.is_alive(), "it went on to the end"
        # Nothing is there to be moved any more.
        assert not any(pieces(bench.store, delivery, folder) for folder in ("INBOX", *FOLDERS))
    finally:
        ended.set()
        mover.join()
    empty_on_disk(bench, needles(study, delivery), began)
    assert foreign(bench.store) == before


def test_unruly_clients_beside_them_lose_and_double_nothing(bench: Bench, api: Api, tmp_path: Path, ct_study: list[Path], in_pieces, is_long: bool, seed: int):  # noqa: F811
    """Two of them work in the doctor's mailbox while studies arrive, are pulled and deleted."""
    before = sum(map(len, foreign(bench.store)))
    sent: list[Path] = []
    for number in range(seed, seed + UNRULY_SEEDS_LONG) if is_long else (seed,):
        with Unruly(bench.store, "doctor", FOLDERS, number) as one, Unruly(bench.store, "doctor", FOLDERS, 1_000 + number) as other:
            images = write_study(tmp_path / f"study-{number}", ct_study, PATIENT, number=100 + number, count=4)
            case = press(bench, api, images)
            sent += images
            pulled_at_last(bench, len(sent))
            until(bench, case, "the receipt", lambda one: one["state"] == "pulled")
            harness.assert_equal_bytes(sent, bench.reader.files())
            assert api.post(f"/studies/{case}/close").status == 204
            bench.wait_for_log("mails of a withdrawn delivery were deleted", count=len(sent) // len(images))
            wait_until(lambda: all(len(client.done) >= KINDS_OF_ACTS and all(client.done.values()) for client in (one, other)), "acts of all kinds", SECONDS_MAX)
        # What a doctor said is deleted elsewhere only when it has lain there for ten seconds; then nothing must be met twice in a row.
        until(bench, case, "the proof", lambda one: one["ended"] and one["ended"]["proved_at_ms"])
        print(f"seed {number}: {(one.done + other.done).total()} acts: {dict(one.done + other.done)}")
        delivery = of(bench, case)["id"]
        left = {folder: [name for name in in_folder(bench.store, folder) if delivery in name] for folder in ("INBOX", *FOLDERS)}
        assert not any(left.values()), left
        assert sum(map(len, foreign(bench.store))) == before, "what is not theirs is nobody's to delete"


def pulled_at_last(bench: Bench, files: int) -> None:
    """A mail that is moved just while the folders are looked through may be met in none of them: then the reader is asked again."""
    bench.store.wait_until_handed_over()
    deadline = time.monotonic() + SECONDS_MAX
    while len(bench.reader.files()) < files:
        result = bench.reader.pull()
        assert result.returncode in (harness.EXIT_DONE, harness.EXIT_INCOMPLETE) and time.monotonic() < deadline, result


def rights(store: MailStore, folder: str, *rights: str) -> None:
    """What the gateway's login may do in a folder of the doctor's."""
    command = ["doveadm", "-c", store.dir / "dovecot" / "dovecot.conf", "acl", "set", "-u", address("doctor"), folder, f"user={address('gateway')}"]
    subprocess.run(list(map(str, [*command, *rights])), check=True, timeout=60)


@pytest.mark.parametrize(("granted", "unsearched"), [(("lookup",), 1), (("lookup", "read"), 0)])
def test_a_folder_that_gives_no_right_is_named(bench: Bench, api: Api, study: list[Path], pressed: str,  # noqa: F811
                                               granted: tuple[str, ...], unsearched: int):
    delivery = of(bench, pressed)["id"]
    rights(bench.store, "Archive", *granted)
    bench.pull()
    until(bench, pressed, "the receipt", lambda one: one["state"] == "pulled")
    name = pieces(bench.store, delivery)[0]
    assert move(bench.store, name, "Archive")
    assert api.post(f"/studies/{pressed}/close").status == 204
    until(bench, pressed, "the proof", lambda one: one["ended"] and one["ended"]["proved_at_ms"])
    (mailbox,) = said(bench)["mailboxes"]
    assert in_folder(bench.store, "Archive").count(name) == 1
    if unsearched:
        assert mailbox["empty_at_ms"] and mailbox["folders_unsearched"] == unsearched
    else:
        assert mailbox["empty_at_ms"] is None, "the mailbox gives no right to delete"


def test_a_mail_that_is_moved_just_while_it_is_read_is_not_told_as_damaged(bench: Bench, api: Api, tmp_path: Path, study: list[Path], pressed: str):  # noqa: F811
    """Away and back, so that it is no longer the mail that was found: the cover, when it is read first, then one of the pieces."""
    read: list[bytes] = []

    def move_all(command: bytes) -> None:
        if b"BODY.PEEK[1]" not in command:
            return
        read.append(command)
        if len(read) in (1, 3):
            with Mailbox(bench.store, "doctor") as mailbox:
                for here, there in (("INBOX", "Junk"), ("Junk", "INBOX")):
                    mailbox.imap.select(here)
                    assert mailbox.imap.uid("MOVE", "1:*", there)[0] == "OK"

    with ImapBetween(bench.store.dir / "tls", bench.store.imaps_port, "UID FETCH", move_all) as between:
        reader = Reader(tmp_path / "reader.toml", tmp_path / "pulled", StoreBehind(bench.store.dir, imaps_port=between.port), bench.keys)
        ends = [reader.pull() for _ in range(3)]
    assert [end.returncode for end in ends] == [harness.EXIT_INCOMPLETE, harness.EXIT_INCOMPLETE, harness.EXIT_DONE], ends
    assert "moved or deleted just now: pull again" in ends[0].stdout and not [end for end in ends if "damaged" in end.stdout]
    harness.assert_equal_bytes(study, reader.files())


def test_a_server_that_cannot_list_its_folders_holds_up_nobody(bench: Bench, api: Api, study: list[Path], pressed: str):  # noqa: F811
    bench.pull()
    until(bench, pressed, "the receipt", lambda one: one["state"] == "pulled")
    with ImapBetween(bench.store.dir / "tls", bench.store.imaps_port, "LIST", b"* LIST what\r\nTAG OK done\r\n") as between:
        bench.gateway.stop()
        bench.gateway.store = StoreBehind(bench.store.dir, imaps_port=between.port)
        bench.gateway.start()
        assert api.post(f"/studies/{pressed}/close").status == 204
        until(bench, pressed, "the proof", lambda one: one["ended"] and one["ended"]["proved_at_ms"])
        bench.gateway.stop()
    (mailbox,) = said(bench)["mailboxes"]
    assert mailbox["empty_at_ms"] and (mailbox["folders"], mailbox["folders_unsearched"]) == (1, 1)
    assert between.answered == 3, "it is asked no more"


@pytest.fixture
def refused(bench: Bench, api: Api, request: pytest.FixtureRequest):  # noqa: F811
    """A server that says so many times that it cannot delete now, in any folder."""
    with ImapBetween(bench.store.dir / "tls", bench.store.imaps_port, "UID EXPUNGE", b"TAG NO [INUSE] later\r\n", request.param) as between:
        bench.gateway.stop()
        bench.gateway.store = StoreBehind(bench.store.dir, imaps_port=between.port)
        bench.gateway.start()
        yield between
        bench.gateway.stop()


@pytest.mark.parametrize("refused", [15], indirect=True)
def test_what_a_server_does_not_delete_now_is_not_told_as_gone(bench: Bench, api: Api, pressed: str, refused: ImapBetween):  # noqa: F811
    delivery = of(bench, pressed)["id"]
    name = pieces(bench.store, delivery)[0]
    assert move(bench.store, name, "Archive")
    # Recalled, not closed: no receipt keeps it from being told.
    assert api.post(f"/studies/{pressed}/withdraw").status == 200
    until(bench, pressed, "the word of it", lambda one: one["doctors"][0]["withdrawn"]["looked_at_ms"])
    assert refused.answered == refused.times, "it was told before it was so"
    assert not in_folder(bench.store, "Archive").count(name) and not pieces(bench.store, delivery)


@pytest.mark.parametrize("refused", [math.inf], indirect=True)
def test_a_server_that_refuses_to_delete_is_named(bench: Bench, api: Api, study: list[Path], pressed: str, refused: ImapBetween):  # noqa: F811
    delivery = of(bench, pressed)["id"]
    bench.pull()
    until(bench, pressed, "the receipt", lambda one: one["state"] == "pulled")
    name = pieces(bench.store, delivery)[0]
    assert move(bench.store, name, "Archive")
    assert api.post(f"/studies/{pressed}/close").status == 204
    until(bench, pressed, "the proof", lambda one: one["ended"] and one["ended"]["proved_at_ms"])
    assert in_folder(bench.store, "Archive").count(name) == 1
    assert said(bench)["mailboxes"][0]["empty_at_ms"] is None
    assert refused.answered > 10, "it was tried"
