"""The portal between a phone's browser and a real mailbox: who gets in, what is streamed, what ends when."""

import hashlib
import json
import time
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path

import pytest
from lab.page import Account
from lab.portal import Passkey, Phone, Portal, b64u
from lab.ports import free_port
from peers import senders

import harness
from harness import Bench

STEP_SECONDS = 30


@pytest.fixture
def portal(bench: Bench):
    portal = Portal(bench.folder / "portal", bench.folder / "log" / "portal.log", bench.store, bench.keys, free_port())
    bench.extra_logs.append(portal.log)
    yield portal.start()
    portal.stop()


@pytest.fixture
def account(portal: Portal) -> Account:
    return portal.add_account("doctor")


def enrolled(portal: Portal, account: Account) -> tuple[Phone, Passkey]:
    """A phone with a passkey, signed in with it."""
    phone = portal.phone()
    wait_until(lambda: phone.by_password(account, code=account.code()).status == 200, "signed in by password", 10)
    return phone, phone.add_passkey()


def deliver(bench: Bench, study: list[Path]) -> str:
    """Sends a study; gives the delivery's id."""
    bench.start()
    senders.pynetdicom(bench.port, "DR_DEMO", study)
    bench.gateway.wait_for_state(*harness.DONE)
    names = (harness.header(message, "Message-ID") for message in harness.messages(bench.store, "doctor"))
    (delivery,) = {name[1:33] for name in names if ".cover@" in name}
    return delivery


def pieces(bench: Bench, delivery: str, user: str = "doctor") -> dict[int, bytes]:
    """The sealed pieces as another reader of the mailbox sees them."""
    found = {}
    for message in harness.messages(bench.store, user):
        name = harness.header(message, "Message-ID").strip("<>").split("@")[0]
        if name.startswith(delivery) and name.split(".")[1].isdigit():
            found[int(name.split(".")[1])] = message_from_bytes(message.content).get_payload(decode=True)
    return found


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 10) -> float:
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - start


def home_of(phone: Phone) -> dict:
    answer = phone.get("/api/home")
    assert answer.status == 200, answer.body
    return answer.json


def test_the_shell_is_served_with_its_rules(portal: Portal):
    phone = portal.phone()
    page = phone.get("/")
    assert page.status == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    for rule in ("default-src 'none'", "script-src 'self' 'wasm-unsafe-eval'", "frame-ancestors 'none'", "connect-src 'self'"):
        assert rule in policy
    assert phone.request("GET", "/", headers={"If-None-Match": page.headers["etag"]}).status == 304
    hashes = phone.get("/shell.json").json["files"]
    assert hashes["/"] == hashlib.sha256(page.body).hexdigest()
    for path in hashes:
        assert hashlib.sha256(phone.get(path).body).hexdigest() == hashes[path]
    assert phone.get(f"/l/{'ab' * 16}").body == page.body == phone.get(f"/c/{'cd' * 16}").body
    assert phone.get("/shell.sig").status == 404 and phone.get("/etc/passwd").status == 404


def test_password_and_code_show_the_list_and_open_nothing(portal: Portal, bench: Bench, account: Account, ct_study: list[Path]):
    delivery = deliver(bench, ct_study)
    phone = portal.phone()
    assert phone.get("/api/home").error == "signed_out"
    assert phone.by_password(account, code="000000").error == "wrong"
    assert phone.by_password(account, password="not the password").error == "wrong"
    assert portal.phone().by_password(Account("nobody", "no password of anybody", account.secret)).error == "wrong"
    code = account.code()
    answer = phone.by_password(account, code=code)
    assert answer.status == 200, answer.body
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie for word in ("__Host-scanpost=", "Secure", "HttpOnly", "SameSite=Strict", "Path=/")), cookie
    home = answer.json
    assert (home["user"], home["level"], home["keys"]) == ("doctor", "list", None)
    (entry,) = home["deliveries"]
    assert (entry["delivery"], entry["cover"]) == (delivery, None)
    assert phone.ranges(delivery, [(1, 0, 64)]).error == "needs_device"
    assert phone.request("PUT", f"/api/keys/recovery?identity={'0' * 64}", b"x").error == "needs_device"
    # A code is good once.
    assert portal.phone().by_password(account, code=code).error == "wrong"
    assert answer.headers["cache-control"] == "no-store"
    stolen = Phone(phone.port, phone.trust, dict(phone.cookies))
    assert phone.post("/api/sign-out", {}).status == 200
    assert stolen.get("/api/home").error == "signed_out"


def test_who_tries_passwords_must_wait(portal: Portal, account: Account):
    phone = portal.phone()
    for _ in range(5):
        assert phone.by_password(account, password="guess").error == "wrong"
    refused = phone.by_password(account)
    assert (refused.status, refused.error) == (429, "too_many_tries") and 25 < refused.json["retry_after"] <= 31
    # Another portal process that shares the state makes them wait too.
    portal.stop()
    assert portal.start().phone().by_password(account).error == "too_many_tries"
    assert json.loads(portal.command("account", "list", "--json").stdout)[0]["failures"] == 5


def test_a_request_of_another_site_is_refused(portal: Portal, account: Account):
    phone = portal.phone()
    body = {"user": account.name, "password": account.password, "code": account.code()}
    for headers in ({"X-Scanpost": ""}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}):
        answer = phone.post("/api/sign-in/password", body, **{name.replace("-", "_"): value for name, value in headers.items()})
        assert (answer.status, answer.error) == (403, "not_allowed"), headers
    assert phone.by_password(account).status == 200


def test_a_passkey_signs_in_and_forgeries_do_not(portal: Portal, account: Account):
    phone, passkey = enrolled(portal, account)
    assert home_of(phone)["level"] == "device"
    other = portal.phone()
    answer = other.by_passkey(passkey)
    assert answer.status == 200 and answer.json["level"] == "device", answer.body
    assert portal.phone().by_passkey(passkey, origin="https://evil.example").error == "wrong"
    assert portal.phone().by_passkey(passkey, flags=0x01).error == "wrong"
    assert portal.phone().by_passkey(Passkey(passkey.credential, handle=passkey.handle, count=99)).error == "wrong"
    # A challenge is good once, and one that was never given is none.
    begin = portal.phone()
    challenge = begin.post("/api/sign-in/begin", {}).json["challenge"]
    assert begin.by_passkey(passkey, challenge=challenge).status == 200
    assert begin.by_passkey(passkey, challenge=challenge).error == "wrong"
    assert begin.by_passkey(passkey, challenge=b64u(bytes(32))).error == "wrong"
    # A count that does not grow is another copy of the key.
    passkey.count = 0
    assert portal.phone().by_passkey(passkey).error == "wrong"


def test_ranges_are_the_bytes_of_the_pieces(portal: Portal, bench: Bench, account: Account, mr_study: list[Path]):
    bench.settings.piece_bytes_max = 200_000
    delivery = deliver(bench, mr_study)
    phone, _ = enrolled(portal, account)
    wait_until(lambda: [entry["delivery"] for entry in home_of(phone)["deliveries"]] == [delivery], "the delivery is listed")
    (entry,) = home_of(phone)["deliveries"]
    sealed = pieces(bench, delivery)
    assert entry["pieces"] == len(sealed) > 2
    assert abs(entry["bytes"] - sum(map(len, sealed.values()))) < 1_000 * len(sealed)
    last, end = max(sealed), len(sealed[max(sealed)])
    asked = [(2, 1000, 5), (1, 0, len(sealed[1])), (last, end - 7, 7), (1, 56, 2), (2, 116_735, 3), (1, 0, 1)]
    answer = phone.ranges(delivery, asked)
    assert answer.status == 200, answer.body
    assert answer.body == b"".join(sealed[piece][offset : offset + length] for piece, offset, length in asked)
    whole = [(number, 0, len(sealed[number])) for number in sorted(sealed)]
    assert phone.ranges(delivery, whole).body == b"".join(sealed[number] for number in sorted(sealed))
    assert phone.ranges(delivery, [(last, end, 1)]).error == "bad_request"
    assert phone.ranges(delivery, [(last + 1, 0, 1)]).error == "unknown"
    assert phone.ranges(delivery, [(1, 0, 1)] * 4097).error == "too_large"
    assert phone.ranges(delivery, [(1, 0, 2**28 + 1)]).error == "too_large"
    assert phone.ranges("0" * 32, [(1, 0, 1)]).error == "unknown"
    assert phone.ranges("../secret", [(1, 0, 1)]).status in (400, 404)
