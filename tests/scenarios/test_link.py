"""An outside recipient without an account opens one study by a link and a passphrase. What the browser would do is done here by other people's
code: Argon2id, HKDF, AES-GCM and ECDSA of Python's cryptography."""

import base64
import hashlib
import json
import re
import sqlite3
import struct
import time
from email import message_from_bytes
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509 import load_der_x509_certificate

from lab import mail_store, openssl, page
from lab.api import Api
from lab.keys import SITE
from lab.mailbox import Mailbox
from peers import senders

import harness
from harness import Bench

GUEST = "doctor2"
PORTAL = "https://portal.example"
SECONDS_MAX = 60
GUEST_TABLES = f"""
[links]
portal_url = "{PORTAL}/"
hours = 2
uses = 3
tries = 4

[doctors.outside]
kind = "link"
name = "Outside clinic"
mailbox = "{mail_store.address(GUEST)}"
folder = "{mail_store.folder_seen_by_gateway(GUEST)}"
language = "ja"
"""


class Link:
    """A statement as it came by mail, parsed and checked from the specification."""

    def __init__(self, content: bytes, site: Path):
        length = struct.unpack(">H", content[:2])[0]
        signature, self.signed = content[2 : 2 + length], content[2 + length :]
        key = load_der_x509_certificate(openssl.openssl("x509", "-in", site, "-outform", "DER")).public_key()
        key.verify(signature, b"scanpost link\0" + self.signed, ec.ECDSA(hashes.SHA256()))
        assert self.signed[:5] == b"SCPL\x01"
        head = struct.Struct(">16s16sqHHIIB16s32s")
        (link, case, self.expires, self.uses, self.tries, self.memory, self.passes, self.lanes, self.salt, self.proof) = head.unpack_from(self.signed, 5)
        self.link, self.case, rest = link.hex(), case.hex(), self.signed[5 + head.size :]
        self.certificate, rest = field(rest)
        self.bound = self.signed[: len(self.signed) - len(rest)]
        self.sealed, rest = field(rest)
        assert rest == b""

    def open(self, passphrase: str) -> tuple[bytes, bytes]:
        """(PKCS#8, the site's certificate); the proof must be the one that the portal compares."""
        master = Argon2id(salt=self.salt, length=32, iterations=self.passes, lanes=self.lanes, memory_cost=self.memory).derive(passphrase.encode())
        def derived(usage: bytes) -> bytes:
            return HKDF(algorithm=hashes.SHA256(), length=32, salt=b"scanpost link\x01", info=usage + bytes.fromhex(self.link)).derive(master)
        if hashlib.sha256(derived(b"proof")).digest() != self.proof:
            raise PermissionError("the portal would not let it pass")
        key, rest = field(AESGCM(derived(b"key")).decrypt(self.sealed[:12], self.sealed[12:], self.bound))
        site, rest = field(rest)
        assert rest == b""
        return key, site


def field(content: bytes) -> tuple[bytes, bytes]:
    length = struct.unpack(">H", content[:2])[0]
    assert len(content) >= 2 + length
    return content[2 : 2 + length], content[2 + length :]


@pytest.fixture
def api(bench: Bench) -> Api:
    page.make_certificate(bench.keys)
    bench.gateway.extra_configuration = GUEST_TABLES
    bench.start(page_lines=page.lines(bench.keys, bench.folder / "page.port"), hold=page.HOLD, silence_ms=500, settle_ms=100)
    return bench.api()


def pressed(bench: Bench, api: Api, study: list[Path], *doctors: str) -> tuple[str, dict]:
    senders.storescu(bench.port, page.HOLD, study)
    (waiting,) = api.get("/studies").body
    answer = api.post("/deliveries", {"study": {"case": waiting["case"]}, "doctors": list(doctors)})
    assert answer.status == 201, answer
    (link,) = answer.body["links"]
    # Never again: not to the same order a second time.
    again = api.post("/deliveries", {"study": {"case": waiting["case"]}, "doctors": list(doctors)})
    assert again.status == 200 and again.body["links"] == [], again
    return waiting["case"], link


def guest_mails(bench: Bench) -> list:
    with Mailbox(bench.store, GUEST) as mailbox:
        return mailbox.messages()


def statements(bench: Bench) -> list[bytes]:
    mails = [mail for mail in guest_mails(bench) if re.fullmatch(rf"<[0-9a-f]{{32}}\.link@{re.escape(SITE)}>", harness.header(mail, "Message-ID"))]
    return [base64.b64decode(message_from_bytes(mail.content).get_payload()) for mail in mails]


def wait_for(what):
    deadline = time.monotonic() + SECONDS_MAX
    while not (value := what()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)
    return value


def test_link_and_passphrase_open_the_study_and_nothing_less_does(bench: Bench, api: Api, ct_study: list[Path], tmp_path: Path):
    case, shown = pressed(bench, api, ct_study, "outside")
    words = shown["passphrase"].split(" ")
    assert len(words) == 7 and all("ぁ" <= letter <= "ゖ" for word in words for letter in word), len(words)
    bench.gateway.wait_for_state("notified")
    (statement,) = wait_for(lambda: statements(bench))
    link = Link(statement, bench.keys.certificate("site"))
    assert shown["url"] == f"{PORTAL}/l/{link.link}" and link.case == case
    assert (link.uses, link.tries) == (3, 4) and abs(link.expires * 1000 - shown["expires_at_ms"]) < 1000
    assert abs(link.expires - time.time() - 2 * 3600) < 120
    with pytest.raises(PermissionError):
        link.open("あいこくしん " * 6 + "あいこくしん")
    key, site = link.open(shown["passphrase"])
    assert site == openssl.openssl("x509", "-in", bench.keys.certificate("site"), "-outform", "DER")
    changed = Link(statement, bench.keys.certificate("site"))
    changed.bound = changed.bound[:-1] + bytes([changed.bound[-1] ^ 1])
    with pytest.raises(InvalidTag):
        changed.open(shown["passphrase"])
    # With that key our reader opens what lies in the guest mailbox, and pins the site that the passphrase vouches for.
    private = serialization.load_der_private_key(key, None)
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    openssl.write_secret(tmp_path / "guest.key", pem)
    (tmp_path / "guest.pem").write_text(openssl.openssl("x509", "-inform", "DER", data=link.certificate).decode())
    (tmp_path / "site.pem").write_text(openssl.openssl("x509", "-inform", "DER", data=site).decode())
    reader = bench.reader_of(GUEST)
    text = reader.config.read_text()
    for name, path in (("key", "guest.key"), ("certificate", "guest.pem")):
        text = re.sub(rf"(?m)^{name} = .*$", f"{name} = {json.dumps(str(tmp_path / path))}", text)
    reader.config.write_text(re.sub(r"(?m)^sites = .*$", f"sites = [{json.dumps(str(tmp_path / 'site.pem'))}]", text))
    bench.pull(reader)
    harness.assert_equal_bytes(ct_study, reader.files())
    # Neither log, nor journal, nor trail, nor any mail has the passphrase.
    state = bench.gateway.folder / "state"
    places = [bench.log, *state.glob("journal.sqlite*"), *(state / "audit").glob("trail-*.log"), bench.store.dir / "log" / "postfix.log"]
    content = b"".join(path.read_bytes() for path in places) + b"".join(mail.content for mail in guest_mails(bench))
    assert link.link.encode() in content, "the search can find something"
    assert not [word for word in (shown["passphrase"], words[0] + " " + words[1]) if word.encode() in content]


def test_a_withdrawn_study_takes_its_link_along(bench: Bench, api: Api, ct_study: list[Path]):
    case, _ = pressed(bench, api, ct_study, "doctor", "outside")
    bench.gateway.wait_for_state("notified")
    wait_for(lambda: statements(bench))
    assert api.post(f"/studies/{case}/withdraw").status == 200
    wait_for(lambda: not guest_mails(bench))


def test_a_doctor_beside_a_guest_ends_the_delivery_and_the_end_of_its_time_the_link(bench: Bench, api: Api, ct_study: list[Path]):
    pressed(bench, api, ct_study, "doctor", "outside")
    bench.gateway.wait_for_state("notified")
    bench.pull()
    bench.gateway.wait_for_state("pulled")
    harness.assert_equal_bytes(ct_study, bench.reader.files())
    wait_for(lambda: statements(bench))
    bench.gateway.stop()
    with sqlite3.connect(bench.gateway.folder / "state" / "journal.sqlite") as journal:
        assert journal.execute("SELECT message FROM link").fetchall() == [(None,)], "kept until it was mailed, not longer"
        journal.execute("UPDATE link SET expires_at_ms = 1000")
    bench.gateway.start()
    wait_for(lambda: not [mail for mail in guest_mails(bench) if "receipt" not in harness.header(mail, "Message-ID")])


def test_a_guest_is_no_destination_and_gets_no_certificate(bench: Bench, api: Api):
    bench.gateway.stop()
    bench.gateway.extra_configuration = GUEST_TABLES + '[destinations.OUTSIDE]\ndoctors = ["outside"]\n'
    with pytest.raises(RuntimeError, match="here nobody presses"):
        bench.gateway.start()
