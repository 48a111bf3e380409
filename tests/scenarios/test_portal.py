"""The portal between a phone's browser and a real mailbox: who gets in, what is streamed, what ends when."""

import hashlib
import io
import json
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from pathlib import Path

import pytest
from lab.mailbox import Mailbox
from lab.page import Account
from lab.portal import Passkey, Phone, Portal, b64u
from lab.ports import free_port
from lab.programs import program
from peers import memory, senders
from peers.authority import Authority, Issued
from peers.imap_between import ImapBetween
from PIL import Image, ImageColor

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


def enrolled(portal: Portal, account: Account, name: str = "phone", ahead: int = 0) -> tuple[Phone, Passkey]:
    """A phone with a passkey, signed in with it; a second one of the same half minute uses the code of the next."""
    phone = portal.phone()
    answer = phone.by_password(account, code=account.code(time.time() + ahead * STEP_SECONDS))
    assert answer.status == 200, answer.body
    return phone, phone.add_passkey(name=name)


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
    for rule in ("default-src 'none'", "script-src 'self' 'wasm-unsafe-eval'", "frame-ancestors 'none'", "connect-src 'self'", "require-trusted-types-for 'script'", "trusted-types scanpost"):
        assert rule in policy
    assert phone.request("GET", "/", headers={"If-None-Match": page.headers["etag"]}).status == 304
    hashes = phone.get("/shell.json").json["files"]
    assert hashes["/"] == hashlib.sha256(page.body).hexdigest()
    for path in hashes:
        assert hashlib.sha256(phone.get(path).body).hexdigest() == hashes[path]
    assert phone.get(f"/l/{'ab' * 16}").body == page.body == phone.get(f"/c/{'cd' * 16}").body
    # iOS takes no SVG for the home screen: the same picture, square.
    assert phone.get("/icon.png").headers["content-type"] == "image/png" and b'rel="apple-touch-icon" href="/icon.png"' in page.body
    icon = Image.open(io.BytesIO(phone.get("/icon.png").body))
    assert (icon.format, icon.mode, icon.size) == ("PNG", "RGB", (180, 180))
    for place, colour in {(2, 2): "#0b1622", (90, 37): "#5cc3ff", (90, 53): "#eef3f8", (90, 90): "#5cc3ff", (90, 75): "#0b1622", (30, 90): "#0b1622"}.items():
        assert icon.getpixel(place) == ImageColor.getrgb(colour), place
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
    assert home["hanging"] == [], "no site said how its cases are met"
    wait_until(lambda: home_of(phone)["deliveries"] != [], "the delivery is listed")
    (entry,) = home_of(phone)["deliveries"]
    assert (entry["delivery"], entry["cover"]) == (delivery, None)
    assert phone.ranges(delivery, [(1, 0, 64)]).error == "needs_device"
    assert phone.request("PUT", f"/api/keys/recovery?identity={'0' * 64}", b"x").error == "needs_device"
    # A code is good once.
    assert portal.phone().by_password(account, code=code).error == "wrong"
    assert answer.headers["cache-control"] == "no-store"
    stolen = Phone(phone.port, phone.trust, phone.origin, dict(phone.cookies))
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
    assert "has changed the lines" not in portal.log.read_text(), "what our gateway sent is read in parts"
    assert phone.ranges(delivery, [(last, end, 1)]).error == "bad_request"
    assert phone.ranges(delivery, [(last + 1, 0, 1)]).error == "piece_missing"
    assert phone.ranges(delivery, [(1, 0, 1)] * 4097).error == "too_large"
    assert phone.ranges(delivery, [(1, 0, 2**28 + 1)]).error == "too_large"
    assert phone.ranges("0" * 32, [(1, 0, 1)]).error == "unknown"
    assert phone.ranges("../secret", [(1, 0, 1)]).status in (400, 404)


def rewrapped(content: bytes, width: int, end: bytes = b"\r\n", footer: bytes = b"") -> bytes:
    """The same mail as a server leaves it that wraps base64 anew, or adds a footer."""
    head, body = content.split(b"\r\n\r\n", 1)
    text = b"".join(body.split())
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    return head + b"\r\n\r\n" + b"".join(line + end for line in lines) + footer


@pytest.mark.parametrize(("width", "footer"), [(64, b""), (72, b""), (76, b"-- \r\nThis mail was checked for viruses.\r\n")])
def test_a_server_that_touches_lines_is_noticed(portal: Portal, bench: Bench, account: Account, ct_study: list[Path], width: int, footer: bytes):
    delivery = deliver(bench, ct_study)
    phone, _ = enrolled(portal, account)
    sealed = pieces(bench, delivery)[1]
    with Mailbox(bench.store, "doctor") as mailbox:
        (message,) = [message for message in mailbox.messages() if f"<{delivery}.1@".encode() in message.content]
        mailbox.append(rewrapped(message.content, width, footer=footer))
        mailbox.delete(message.uid)
    asked = [(1, 70_000, 1000), (1, 0, 64), (1, len(sealed) - 9, 9)]
    expected = b"".join(sealed[offset : offset + length] for _, offset, length in asked)
    wait_until(lambda: phone.ranges(delivery, asked).body == expected, "the same bytes from changed lines")
    assert "has changed the lines" in portal.log.read_text()


def test_it_says_that_it_is_alive_to_whoever_asks(portal: Portal):
    answer = portal.phone().get("/healthz")
    assert (answer.status, answer.body) == (200, b"alive\n")
    assert portal.phone().get("/readyz").status == 404


def test_what_is_deleted_is_gone_from_the_cache_too(portal: Portal, bench: Bench, account: Account, ct_study: list[Path]):
    delivery = deliver(bench, ct_study)
    phone, _ = enrolled(portal, account)
    wait_until(lambda: phone.ranges(delivery, [(1, 0, 64)]).status == 200, "the piece is there")
    assert [path for path in portal.cache.iterdir() if path.suffix == ".piece"]
    with Mailbox(bench.store, "doctor") as mailbox:
        mailbox.empty()
    # Until the portal has looked again, what is no longer there may have been moved: the phone is told to ask once more.
    said = set()

    def is_gone() -> bool:
        answer = phone.ranges(delivery, [(1, 0, 64)])
        said.add("" if answer.status == 200 else answer.error)
        return "gone" in said

    seconds = wait_until(is_gone, "the deletion is seen")
    assert said <= {"", "mailbox_changed", "gone"} and seconds < 5
    assert home_of(phone)["deliveries"] == []
    assert not [path for path in portal.cache.iterdir() if path.suffix == ".piece"]


def test_a_forged_twin_hides_no_cover(portal: Portal, bench: Bench, account: Account, ct_study: list[Path]):
    delivery = deliver(bench, ct_study)
    phone, _ = enrolled(portal, account)
    wait_until(lambda: bool(home_of(phone)["deliveries"]), "the portal sees the delivery")
    (entry,) = home_of(phone)["deliveries"]
    assert "twins" not in entry
    genuine = entry["cover"]
    (message,) = (one for one in harness.messages(bench.store, "doctor") if ".cover@" in harness.header(one, "Message-ID"))
    head = message.content.split(b"\r\n\r\n", 1)[0] + b"\r\n\r\n"
    wrapped = b"\r\n".join(genuine[at:at + 76].encode() for at in range(0, len(genuine), 76)) + b"\r\n"
    of_another_site = head.replace(b".cover@hospital.example", b".cover@other.example")
    assert of_another_site != head
    # What came first, what came twice, what says to be of another site.
    with Mailbox(bench.store, "doctor") as mailbox:
        mailbox.delete(message.uid)
        for content in (head + b"Zm9yZ2Vk\r\n", head + wrapped, head + wrapped, of_another_site + b"YW5vdGhlcg==\r\n"):
            mailbox.append(content)
    wait_until(lambda: len(home_of(phone)["deliveries"][0].get("twins", [])) == 2, "all that say to be the cover are given", 60)
    for entries in (home_of(phone)["deliveries"], phone.get("/api/deliveries").json["deliveries"]):
        (entry,) = entries
        assert (entry["delivery"], entry["cover"], entry["pieces"]) == (delivery, "Zm9yZ2Vk", 1)
        assert entry["twins"] == [{"site": entry["site"], "cover": genuine}, {"site": "other.example", "cover": "YW5vdGhlcg=="}]
    # A list without keys has none of them.
    (entry,) = portal.phone().by_password(account, code=account.code(time.time() + STEP_SECONDS)).json["deliveries"]
    assert entry["cover"] is None and "twins" not in entry


def test_a_mail_store_that_is_down_is_said_and_comes_back(portal: Portal, bench: Bench, account: Account, ct_study: list[Path]):
    delivery = deliver(bench, ct_study)
    phone, _ = enrolled(portal, account)
    bench.gateway.stop()
    bench.store.stop()
    wait_until(lambda: phone.get("/api/home").status == 503, "the loss is seen")
    answer = phone.get("/api/home")
    assert (answer.error, answer.json["who"], answer.json["retry_after"]) == ("mailbox_down", "us", 5)
    bench.store.start()
    wait_until(lambda: phone.ranges(delivery, [(1, 0, 64)]).status == 200, "the mailbox is read again", 40)


def test_a_phone_that_asks_before_the_first_look_gets_what_is_there(bench: Bench):
    # It listens, and lets nobody in before the block.
    between = ImapBetween(bench.store.dir / "tls", bench.store.imaps_port, "NOTHING", b"")
    portal = Portal(bench.folder / "portal", bench.folder / "log" / "portal.log", bench.store, bench.keys, free_port(), imaps_port=between.port)
    bench.extra_logs.append(portal.log)
    portal.start()
    try:
        account = portal.add_account("doctor")
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(portal.phone().by_password, account)
            time.sleep(1)
            with between:
                assert answer.result().status == 200
    finally:
        portal.stop()


def test_a_receipt_lies_in_the_mailbox_under_its_name(portal: Portal, bench: Bench, account: Account, ct_study: list[Path]):
    delivery = deliver(bench, ct_study)
    phone, _ = enrolled(portal, account)
    wait_until(lambda: home_of(phone)["deliveries"] != [], "the delivery is listed")
    path, body = f"/api/deliveries/{delivery}/receipts", bytes(range(256)) * 4
    query = "recipient=0123456789abcdef&site=hospital.example"
    assert phone.request("POST", f"{path}/fetched?{query}", body).status == 200
    named = f"<{delivery}.fetched.0123456789abcdef@hospital.example>"
    (found,) = [message for message in harness.messages(bench.store, "doctor") if harness.header(message, "Message-ID") == named]
    assert message_from_bytes(found.content).get_payload(decode=True) == body
    for wrong in ("eaten?" + query, "fetched?recipient=0123&site=hospital.example", "fetched?recipient=0123456789abcdef&site=evil%0d%0aX:"):
        assert phone.request("POST", f"{path}/{wrong}", body).error == "bad_request", wrong
    assert phone.request("POST", f"{path}/fetched?recipient=0123456789abcdef&site=other.example", body).error == "unknown"
    assert phone.request("POST", f"{path}/fetched?{query}", bytes(4000)).error == "too_large"


def test_enrolment_and_renewal_go_through(portal: Portal, bench: Bench, account: Account):
    phone, _ = enrolled(portal, account)
    invitation = "ab" * 16
    path = f"/api/enrolments/{invitation}?site=hospital.example"
    assert phone.request("POST", path, b"request").status == 200
    assert phone.request("POST", f"/api/renewals/{invitation}?site=hospital.example", b"renewal").status == 200
    names = {harness.header(message, "Message-ID") for message in harness.messages(bench.store, "doctor")}
    assert names == {f"<{invitation}.enrol@hospital.example>", f"<{invitation}.renew@hospital.example>"}
    assert phone.get(path).json == {"messages": []}
    with Mailbox(bench.store, "doctor") as mailbox:
        mailbox.append(f"Message-ID: <{invitation}.enrolled@hospital.example>\r\nContent-Transfer-Encoding: base64\r\n\r\nAQID\r\n".encode())
    wait_until(lambda: phone.get(path).json == {"messages": ["AQID"]}, "the confirmation is there")


def events(phone: Phone, heard: list[str], path: str = "/api/events") -> threading.Thread:
    """Notes the events of a phone until the portal ends them."""
    import http.client

    def listen() -> None:
        connection = http.client.HTTPSConnection("localhost", phone.port, context=phone.trust, timeout=60)
        connection.request("GET", path, headers={"Cookie": "; ".join(f"{key}={value}" for key, value in phone.cookies.items())})
        answer = connection.getresponse()
        while line := answer.readline():
            if line.startswith(b"event:"):
                heard.append(line.split(b":")[1].strip().decode())

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    return thread


def test_two_portals_share_a_state_and_a_revoked_phone_ends_at_both(portal: Portal, bench: Bench, account: Account, ct_study: list[Path]):
    delivery = deliver(bench, ct_study)
    second = Portal(bench.folder / "portal2", bench.folder / "log" / "portal2.log", bench.store, bench.keys, free_port(),
                    state=portal.state, origin=portal.origin)
    bench.extra_logs.append(second.log)
    phone, passkey = enrolled(portal, account)
    tablet, _ = Phone(phone.port, phone.trust, phone.origin, dict(phone.cookies)), None
    assert tablet.by_passkey(passkey).status == 200
    devices = json.loads(subprocess.run([program("scanpost-gateway"), "doctor", "list", "--json", "--config", bench.gateway.config],
                                        capture_output=True, text=True, check=True).stdout)
    identity = next(device["identity"] for device in devices if device["doctor"] == "doctor")
    credential = b64u(passkey.credential)
    assert phone.request("PUT", f"/api/keys/{credential}?identity={identity}", b"wrapped").status == 200
    assert phone.request("PUT", f"/api/keys/recovery?identity={identity}", b"copy").status == 200
    assert phone.request("PUT", f"/api/keys/{credential}?identity={identity}", bytes(32_769)).error == "too_large"
    assert phone.request("PUT", f"/api/keys/{b64u(bytes(32))}?identity={identity}", b"x").error == "not_allowed"
    home = home_of(phone)
    assert (home["keys"], home["recovery"]) == ("d3JhcHBlZA==", "Y29weQ==")
    second.start()
    try:
        there = Phone(second.port, phone.trust, phone.origin, dict(phone.cookies))
        wait_until(lambda: there.ranges(delivery, [(1, 0, 64)]).status == 200, "the session is good at the other portal")
        heard: list[str] = []
        line = events(there, heard)
        revoked = subprocess.run([program("scanpost-gateway"), "doctor", "revoke", "doctor", "--all", "--config", bench.gateway.config],
                                 capture_output=True, text=True)
        assert revoked.returncode == 0 and "could not be told" not in revoked.stdout, revoked
        ended = lambda: (phone.get("/api/home").status, there.get("/api/home").status, tablet.get("/api/home").status) == (401,) * 3  # noqa: E731
        seconds = wait_until(ended, "the phone is out at both portals", 5)
        line.join(5)
        assert heard[-1] == "gone", heard
        assert portal.phone().by_passkey(passkey).error == "wrong"
        again, fresh = enrolled(portal, account, ahead=1)
        assert home_of(again)["recovery"] is None
        assert again.request("PUT", f"/api/keys/{b64u(fresh.credential)}?identity={identity}", b"x").error == "not_allowed"
        print(f"revoked within {seconds:.1f} s")
    finally:
        second.stop()


def test_a_portal_that_asks_for_certificates_lets_nobody_in_without(bench: Bench):
    """TLS 1.3: what the client says first comes with its certificate, and is not read before that is good."""
    devices, others = Authority(bench.folder / "devices"), Authority(bench.folder / "others", "other root")
    good, lost = devices.issue("phone", purpose="clientAuth"), devices.issue("lost", purpose="clientAuth")
    devices.revoke(lost)
    portal = Portal(bench.folder / "portal", bench.folder / "log" / "portal.log", bench.store, bench.keys, free_port(),
                    lines=(f'client_ca = "{devices.certificate}"', f'crl = "{devices.revocations()}"'))
    bench.extra_logs.append(portal.log)

    def phone(issued: Issued | None) -> Phone:
        portal.phone_certificate = issued and (issued.certificate, issued.key)
        return portal.phone()

    phone(good)
    portal.start()
    try:
        account = portal.add_account("doctor")
        assert phone(good).by_password(account).status == 200
        for refused in (None, others.issue("phone", purpose="clientAuth"), devices.issue("phone"), lost):
            time.sleep(1)  # a line of the log a second
            with pytest.raises(OSError):
                phone(refused).get("/shell.json")
        for words in ("it shows no client certificate", "authority that is not in client_ca", "is revoked"):
            wait_until(lambda words=words: words in portal.log.read_text(), words)
    finally:
        portal.stop()
    portal.config.write_text(portal.config.read_text().replace("[portal]", '[portal]\nguests = ["doctor2"]'))
    with pytest.raises(RuntimeError, match="outside recipients have no certificate"):
        portal.start()


def test_a_device_that_is_deleted_ends_and_others_stay(portal: Portal, account: Account):
    phone, passkey = enrolled(portal, account)
    lost, gone = enrolled(portal, account, "lost", ahead=1)
    assert {device["name"] for device in phone.get("/api/devices").json} == {"phone", "lost"}
    assert phone.request("DELETE", f"/api/devices/{b64u(gone.credential)}").status == 200
    assert lost.get("/api/home").error == "signed_out" and portal.phone().by_passkey(gone).error == "wrong"
    assert home_of(phone)["level"] == "device"
    assert phone.request("DELETE", f"/api/devices/{b64u(gone.credential)}").error == "unknown"


def test_neither_disk_nor_memory_nor_log_holds_anything_plain(portal: Portal, bench: Bench, account: Account, mr_study: list[Path]):
    import pydicom

    delivery = deliver(bench, mr_study)
    phone, _ = enrolled(portal, account)
    sealed = pieces(bench, delivery)
    wait_until(lambda: phone.ranges(delivery, [(number, 0, len(sealed[number])) for number in sealed]).status == 200, "all was streamed")
    first = pydicom.dcmread(mr_study[0])
    middle = len(first.PixelData) // 2
    plain = {
        "name": str(first.PatientName).encode(), "id": str(first.PatientID).encode(), "study": str(first.StudyInstanceUID).encode(),
        "pixels": first.PixelData[middle : middle + 32], "password": account.password.encode(),
    }
    assert len(set(plain["pixels"])) > 4 and all(len(value) > 4 for value in plain.values())
    places = {str(path): path.read_bytes() for folder in (portal.state, portal.cache) for path in folder.iterdir()}
    places["log"] = portal.log.read_bytes()
    places["memory"] = memory.image(portal.child.pid, "r")
    # What must be there is found by the same search.
    assert bytes.fromhex(delivery) in places["memory"] and any(sealed[1][1000:1032] in content for content in places.values())
    for where, content in places.items():
        for what, value in plain.items():
            # A password is in memory while it is compared; it is not kept, and what was freed may still be there.
            if (where, what) != ("memory", "password"):
                assert value not in content and value.decode("latin-1").encode("utf-16-le") not in content, f"{what} in {where}"


def test_a_signed_shell_names_its_key(portal: Portal, bench: Bench):
    from lab import openssl

    key, signed = bench.folder / "shell.key.pem", bench.folder / "shell.json"
    openssl.new_key(key)
    made = portal.command("sign-shell", "--key", str(key), "--plain-key", "--out", str(signed))
    assert made.returncode == 0, made.stderr
    portal.stop()
    portal.config.write_text(portal.config.read_text().replace("[portal]", f'[portal]\nshell = "{signed}"'))
    portal.start()
    phone = portal.phone()
    import base64
    signature, manifest = base64.b64decode(phone.get("/shell.sig").body), phone.get("/shell.json").body
    # DER of two positive integers; a leading zero is not minimal, so it is dropped where it need not be.
    def der(half: bytes) -> bytes:
        half = half.lstrip(b"\x00")
        half = b"\x00" + half if half[0] & 0x80 else half
        return b"\x02" + bytes([len(half)]) + half
    integers = der(signature[:32]) + der(signature[32:])
    (bench.folder / "signature").write_bytes(b"\x30" + bytes([len(integers)]) + integers)
    (bench.folder / "public.pem").write_bytes(openssl.openssl("pkey", "-in", key, "-pubout"))
    verify = ("dgst", "-sha256", "-verify", bench.folder / "public.pem", "-signature", bench.folder / "signature")
    assert openssl.openssl(*verify, data=b"scanpost shell\0" + manifest) == b"Verified OK\n"
    portal.stop()
    signed.write_text(signed.read_text().replace('"key":"B', '"key":"C'))
    with pytest.raises(RuntimeError, match="sign it anew"):
        portal.start()


def test_a_line_of_events_tells_of_every_new_case_also_of_one_that_came_before_it(portal: Portal, bench: Bench, account: Account, ct_study: list[Path]):
    """A cover that comes while the portal reads another, and one that comes between the app's look and its line."""
    first = deliver(bench, ct_study)
    phone, _ = enrolled(portal, account)
    heard: list[str] = []
    events(phone, heard)
    named = lambda part: next(one for one in harness.messages(bench.store, "doctor") if f".{part}@" in harness.header(one, "Message-ID"))  # noqa: E731
    piece, cover = named("1"), named("cover")
    slowest = 0.0
    for number in range(12):
        delivery = f"{number + 1:032x}"
        with Mailbox(bench.store, "doctor") as mailbox:
            # One right behind the other, as the mail server delivers them.
            for message in (piece, cover):
                mailbox.append(message.content.replace(first.encode(), delivery.encode()))
        here = lambda: delivery in {entry["delivery"] for entry in phone.get("/api/deliveries?idle=1").json["deliveries"]}  # noqa: E731, B023
        slowest = max(slowest, wait_until(here, "the case is in the list", 10))
    print(f"a new case is in the list after {slowest:.1f} s at most")
    wait_until(lambda: heard.count("cases") >= 12, "every one was told")
    # Of a newer one than is known it is told at once, of the known one not.
    newest = phone.get("/api/deliveries?idle=1").json["deliveries"][0]["delivery"]
    for known, is_told in ((newest, False), (first, True)):
        told: list[str] = []
        events(phone, told, f"/api/events?newest={known}")
        time.sleep(2)
        assert told == (["cases"] if is_told else []), known
