"""Every mail that leaves the gateway carries signatures that another program finds right, as it lies in the mailbox."""

import base64
from pathlib import Path

import dkim
import pytest

from lab import openssl
from lab.openssl import openssl as run
from peers import senders

import harness
from harness import Bench

DOMAIN = "scanpost.test"
KINDS = {"ed": ("ED25519",), "rsa": ("RSA", "-pkeyopt", "rsa_keygen_bits:2048")}
ED25519_SPKI_PREFIX_BYTES = 12  # RFC 8410 4: everything before the 32 bytes of the key


@pytest.fixture
def signing(tmp_path: Path) -> tuple[list[str], dict[bytes, bytes]]:
    """Lines of [submit], and the zone with both public keys, made from the keys by openssl."""
    lines, zone = [], {}
    for selector, kind in KINDS.items():
        key = tmp_path / f"{selector}.dkim.pem"
        openssl.write_secret(key, run("genpkey", "-algorithm", *kind))
        lines += ["[[submit.dkim]]", f'domain = "{DOMAIN}"', f'selector = "{selector}"', f'key = "{key}"']
        public = run("pkey", "-in", key, "-pubout", "-outform", "DER")
        name, public = ("ed25519", public[ED25519_SPKI_PREFIX_BYTES:]) if selector == "ed" else ("rsa", public)
        zone[f"{selector}._domainkey.{DOMAIN}.".encode()] = f"v=DKIM1; k={name}; p={base64.b64encode(public).decode()}".encode()
    return lines, zone


def signatures(mail: bytes) -> int:
    return mail.split(b"\r\n\r\n")[0].count(b"DKIM-Signature:")


def verdicts(mail: bytes, zone: dict[bytes, bytes]) -> list[bool]:
    """dkimpy's verdict on each signature of a mail."""
    def verdict(index: int) -> bool:
        try:
            return dkim.DKIM(mail).verify(idx=index, dnsfunc=lambda name, timeout=5: zone.get(name if isinstance(name, bytes) else name.encode()))
        except dkim.DKIMException:
            return False
    return [verdict(index) for index in range(signatures(mail))]


def test_pieces_cover_and_notice_are_signed_with_both_keys(bench: Bench, mr_study: list[Path], signing):
    lines, zone = signing
    bench.start(submit_lines=lines, piece_bytes_max=100_000)
    senders.pynetdicom(bench.port, "DR_DEMO", mr_study)
    bench.deliver_and_pull()
    harness.assert_equal_bytes(mr_study, bench.reader.files())
    study = [message for message in harness.messages(bench.store, "doctor") if b".receipt" not in message.content.lower()[:4000]]
    notices = harness.messages(bench.store, "phone")
    assert len(study) > 3 and len(notices) == 1
    mails = [message.content for message in (*study, *notices)]
    mails = [mail for mail in mails if signatures(mail)]
    assert len(mails) >= len(study) - 1 + len(notices), "all but the reader's own receipt"
    for mail in mails:
        assert b"Received:" in mail, "it came through Postfix"
        assert verdicts(mail, zone) == [True, True], mail[:2000]
    changed = mails[0][:-20] + bytes([mails[0][-20] ^ 1]) + mails[0][-19:]
    assert verdicts(changed, zone) == [False, False]
    second = b"From: somebody@else.example\r\n" + mails[0]
    assert verdicts(second, zone) == [False, False], "a second sender breaks the signature"
    subject = mails[0].replace(b"Subject: Scanpost", b"Subject: Lottery", 1)
    assert verdicts(subject, zone) == [False, False]


def test_a_key_of_another_domain_is_refused_at_start(bench: Bench, signing):
    lines, _ = signing
    with pytest.raises(RuntimeError):
        bench.start(submit_lines=[line.replace(DOMAIN, "else.example") for line in lines])
    assert "domain must be that of the sender address" in bench.log.read_text()
