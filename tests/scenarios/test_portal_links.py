"""A guest at the portal: link and passphrase open one case, wrong ones are counted at every portal, and nothing is left once it ends. The
gateway makes the links, Dovecot holds them, and other people's code derives what the browser would."""

import base64
import time
from email import message_from_bytes
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from lab import openssl, page
from lab.api import Api
from lab.mailbox import Mailbox
from lab.portal import Answer, Phone, Portal
from lab.ports import free_port
from peers import senders
from playwright.sync_api import Browser, expect

import harness
from harness import Bench
from test_app import PHONE, WAIT_MS
from test_link import GUEST, Link, api, guest_mails, statements, wait_for  # noqa: F401
from test_portal import pieces, wait_until

USES, TRIES = 3, 4
# A guest's case is met as a doctor's.
ROW = {"name": "XA", "modality": ["XA"], "begin": "first"}
GUESTS = (f'guests = ["{GUEST}"]', 'hanging = [{ name = "XA", modality = ["XA"], begin = "first" }]')


@pytest.fixture
def portal(bench: Bench):
    portal = Portal(bench.folder / "portal", bench.folder / "log" / "portal.log", bench.store, bench.keys, free_port(), lines=GUESTS)
    bench.extra_logs.append(portal.log)
    yield portal.start()
    portal.stop()


def made(bench: Bench, api: Api, study: list[Path], count: int = 1) -> tuple[str, str, str, str]:
    """(link, passphrase, case, delivery) of a study that is mailed, and whose link the portal can see."""
    before, known = covers(bench), {held["case"] for held in api.get("/studies").body}
    senders.storescu(bench.port, page.HOLD, study)
    (waiting,) = [held for held in api.get("/studies").body if held["case"] not in known]
    answer = api.post("/deliveries", {"study": {"case": waiting["case"]}, "doctors": ["outside"]})
    assert answer.status == 201, answer
    bench.gateway.wait_for_state("notified", count=count)
    wait_for(lambda: len(statements(bench)) == count)
    (delivery,) = covers(bench) - before
    (shown,) = answer.body["links"]
    return shown["url"].rsplit("/", 1)[1], shown["passphrase"], waiting["case"], delivery


def covers(bench: Bench) -> set[str]:
    names = [harness.header(mail, "Message-ID") for mail in guest_mails(bench)]
    return {name[1:33] for name in names if ".cover@" in name}


def told(phone: Phone, link: str) -> dict:
    wait_until(lambda: phone.get(f"/api/links/{link}").status == 200, "the portal knows the link")
    return phone.get(f"/api/links/{link}").json


def proof(told: dict, link: str, passphrase: str) -> str:
    cost = told["argon2"]
    argon2 = Argon2id(salt=base64.b64decode(told["salt"]), length=32, iterations=cost["iterations"], lanes=cost["lanes"], memory_cost=cost["memory_kib"])
    derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=b"scanpost link\x01", info=b"proof" + bytes.fromhex(link)).derive(argon2.derive(passphrase.encode()))
    return base64.b64encode(derived).decode()


def opened(phone: Phone, link: str, given: str) -> Answer:
    return phone.post(f"/api/links/{link}/open", {"proof": given})


def wrong(number: int) -> str:
    return base64.b64encode(bytes([number]) * 32).decode()


def test_link_and_passphrase_give_the_case_and_nothing_else(bench: Bench, api: Api, portal: Portal, ct_study: list[Path], mr_study: list[Path]):
    link, passphrase, case, delivery = made(bench, api, ct_study)
    other, _, _, others = made(bench, api, mr_study, count=2)
    guest = portal.phone()
    info = told(guest, link)
    told(guest, other)
    assert (info["uses_left"], info["tries_left"]) == (USES, TRIES) and abs(info["expires_at"] - time.time() - 2 * 3600) < 120
    assert guest.get(f"/api/links/{'ab' * 16}").error == "unknown" and guest.get("/api/links/x").error == "unknown"
    assert guest.ranges(delivery, [(1, 0, 64)]).error == "signed_out"
    answer = opened(guest, link, proof(info, link, passphrase))
    assert answer.status == 200, answer.body
    assert all(word in answer.headers["set-cookie"] for word in ("__Host-scanpost=", "Secure", "HttpOnly", "SameSite=Strict"))
    signed = Link(base64.b64decode(answer.json["statement"]), bench.keys.certificate("site"))
    assert (signed.link, signed.case) == (link, case) and signed.open(passphrase)
    assert answer.json["hanging"] == [ROW]
    (entry,) = answer.json["deliveries"]
    assert entry["delivery"] == delivery and entry["cover"] and entry["pieces"] == len(pieces(bench, delivery, GUEST))
    assert guest.get("/api/deliveries").json["deliveries"] == [entry]
    for number, content in pieces(bench, delivery, GUEST).items():
        assert guest.ranges(delivery, [(number, 0, len(content))]).body == content
    # Of the other case there is nothing, though it lies in the same mailbox and its id is known.
    assert guest.ranges(others, [(1, 0, 64)]).error == "unknown"
    for path in ("home", "events", "devices", "push"):
        assert guest.get(f"/api/{path}").error == "needs_device", path
    assert guest.post("/api/devices/begin", {}).error == "needs_device"
    assert guest.post(f"/api/deliveries/{delivery}/receipts/fetched?recipient={'00' * 8}&site={entry['site']}", {}).error == "needs_device"
    # Uses are counted; who is in stays in.
    assert told(guest, link)["uses_left"] == USES - 1 and told(guest, link)["tries_left"] == TRIES
    for _ in range(USES - 1):
        assert opened(portal.phone(), link, proof(info, link, passphrase)).status == 200
    assert guest.get(f"/api/links/{link}").error == "gone" and opened(portal.phone(), link, proof(info, link, passphrase)).error == "gone"
    assert guest.ranges(delivery, [(1, 0, 64)]).status == 200
    assert guest.get(f"/api/links/{other}").status == 200


def test_wrong_passphrases_end_a_link_at_every_portal_of_a_state(bench: Bench, api: Api, portal: Portal, ct_study: list[Path]):
    link, passphrase, _, _ = made(bench, api, ct_study)
    second = Portal(bench.folder / "portal2", bench.folder / "log" / "portal2.log", bench.store, bench.keys, free_port(), state=portal.state,
                    origin=portal.origin, lines=GUESTS)
    bench.extra_logs.append(second.log)
    second.start()
    try:
        here, there = portal.phone(), second.phone()
        given = proof(told(here, link), link, passphrase)
        told(there, link)
        assert opened(here, link, "not base64").error == "bad_request" and opened(here, link, "").error == "wrong"
        assert opened(there, link, wrong(1)).error == "wrong" and told(here, link)["tries_left"] == TRIES - 2
        # A right one is no wrong one, and makes no wrong one undone.
        assert opened(here, link, given).status == 200 and told(there, link)["tries_left"] == TRIES - 2
        # Neither does a restart.
        portal.stop()
        portal.start()
        assert told(here, link)["tries_left"] == TRIES - 2
        assert opened(here, link, wrong(2)).error == opened(there, link, wrong(3)).error == "wrong"
        for phone in (here, there):
            assert phone.get(f"/api/links/{link}").error == "gone"
            assert opened(phone, link, given).error == "gone"
        assert given not in portal.log.read_text() and passphrase not in portal.log.read_text()
    finally:
        second.stop()


def test_a_withdrawn_study_ends_its_link_and_whoever_came_by_it(bench: Bench, api: Api, portal: Portal, ct_study: list[Path]):
    link, passphrase, case, delivery = made(bench, api, ct_study)
    guest = portal.phone()
    given = proof(told(guest, link), link, passphrase)
    assert opened(guest, link, given).status == 200
    kept = [mail.content for mail in guest_mails(bench) if ".link@" in harness.header(mail, "Message-ID")]
    assert api.post(f"/studies/{case}/withdraw").status == 200
    wait_for(lambda: not guest_mails(bench))
    seconds = wait_until(lambda: guest.get(f"/api/links/{link}").status == 410, "the link is dead", 5)
    assert guest.ranges(delivery, [(1, 0, 64)]).error == "signed_out" and opened(portal.phone(), link, given).error == "gone"
    # Whoever kept a copy of the message brings nothing back.
    with Mailbox(bench.store, GUEST) as mailbox:
        mailbox.append(kept[0])
    time.sleep(2)
    assert guest.get(f"/api/links/{link}").error == "gone"
    print(f"dead within {seconds:.1f} s")


def test_a_forged_message_neither_stands_for_a_link_nor_hides_it(bench: Bench, api: Api, portal: Portal, ct_study: list[Path]):
    link, passphrase, _, _ = made(bench, api, ct_study)
    (genuine,) = [mail for mail in guest_mails(bench) if ".link@" in harness.header(mail, "Message-ID")]
    statement = bytearray(message_from_bytes(genuine.content).get_payload(decode=True))
    head = genuine.content[: genuine.content.index(b"\r\n\r\n") + 4]
    # More tries than the site allows; and the genuine statement under another name.
    statement[2 + int.from_bytes(statement[:2], "big") + 5 + 32 + 8 + 3] = 200
    forged = head + base64.encodebytes(bytes(statement)).replace(b"\n", b"\r\n")
    alias = "cd" * 16
    with Mailbox(bench.store, GUEST) as mailbox:
        mailbox.delete(genuine.uid)
        mailbox.append(forged)
        mailbox.append(genuine.content.replace(link.encode() + b".link@", alias.encode() + b".link@"))
    guest = portal.phone()
    time.sleep(2)
    assert guest.get(f"/api/links/{link}").error == guest.get(f"/api/links/{alias}").error == "unknown"
    # One of the site's own whose time is over.
    past = bytearray(Link(message_from_bytes(genuine.content).get_payload(decode=True), bench.keys.certificate("site")).signed)
    old = "ef" * 16
    past[5:21], past[37:45] = bytes.fromhex(old), int(time.time() - 1).to_bytes(8, "big")
    signature = openssl.openssl("dgst", "-sha256", "-sign", bench.keys.key("site"), data=b"scanpost link\0" + bytes(past))
    expired = head.replace(link.encode(), old.encode()) + base64.encodebytes(len(signature).to_bytes(2, "big") + signature + bytes(past)).replace(b"\n", b"\r\n")
    with Mailbox(bench.store, GUEST) as mailbox:
        mailbox.append(genuine.content)
        mailbox.append(expired)
    wait_until(lambda: guest.get(f"/api/links/{old}").status == 410, "it has expired")
    info = told(guest, link)
    assert info["tries_left"] == TRIES and opened(guest, link, proof(info, link, passphrase)).status == 200


def test_a_link_outside_the_mailboxes_of_guests_is_not_taken(bench: Bench, api: Api, portal: Portal, ct_study: list[Path]):
    link, _, _, _ = made(bench, api, ct_study)
    told(portal.phone(), link)
    portal.stop()
    portal.config.write_text(portal.config.read_text().replace(GUESTS[0], 'guests = ["doctor"]'))
    portal.start()
    wait_until(lambda: portal.phone().get(f"/api/links/{link}").status == 410, "no mailbox of guests has it")
    portal.stop()
    portal.config.write_text(portal.config.read_text().replace('guests = ["doctor"]', 'guests = ["nobody"]'))
    with pytest.raises(RuntimeError, match="guests: each is the NAME"):
        portal.start()


def test_chromium_opens_the_picture_by_the_passphrase(bench: Bench, api: Api, portal: Portal, chromium: Browser, ct_study: list[Path], tmp_path: Path):
    link, passphrase, _, _ = made(bench, api, ct_study)
    told(portal.phone(), link)
    context = chromium.new_context(locale="en-GB", **PHONE)
    try:
        tab = context.new_page()
        tab.set_default_timeout(WAIT_MS)
        tab.goto(f"{portal.origin}/l/{link}")
        field = tab.locator("input")
        field.fill("あいこくしん " * 7)
        tab.locator("button[type=submit], button.main").first.click()
        expect(tab.get_by_role("alert")).to_be_visible(timeout=WAIT_MS)
        field.fill(passphrase.replace(" ", "\u3000"))
        tab.locator("button[type=submit], button.main").first.click()
        expect(tab.locator("canvas[data-shown=full]")).to_be_visible(timeout=WAIT_MS)
        assert tab.locator(".who h1").inner_text().startswith("Yamada Tarou")
        # Nobody listens to a guest: no answers, and no arrows for them.
        assert tab.evaluate("import('/js/app.js').then(({ state: { viewer: { around } } }) => [around.answer, around.measuring])") == [None, None]
        tab.screenshot(path=tmp_path / "guest.png")
    finally:
        context.close()
    assert told(portal.phone(), link)["tries_left"] == TRIES - 1
