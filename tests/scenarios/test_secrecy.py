"""What leaves the hospital: sealed mail, a plain notice, and no patient data outside the seal."""

import base64
import hashlib
import json
import re
import ssl
import time
from email import message_from_bytes, policy
from pathlib import Path

import pydicom
import pytest

from lab import openssl
from lab.mailbox import Mailbox, Message
from peers import senders

import harness
from harness import Bench


@pytest.fixture
def delivered(bench: Bench, mr_study: list[Path]) -> Bench:
    bench.start(piece_bytes_max=500_000)
    senders.pynetdicom(bench.port, "DR_DEMO", mr_study)
    bench.gateway.wait_for_state("notified")
    return bench


def test_no_patient_data_outside_the_seal(delivered: Bench, mr_study: list[Path]):
    delivered.pull()
    delivered.gateway.wait_for_state("pulled")
    data_set = pydicom.dcmread(mr_study[0])
    secrets = patient_secrets(data_set)
    places = {f"mail of {user}": message.content for user in ("doctor", "phone", "gateway") for message in harness.messages(delivered.store, user)}
    places |= {str(path): path.read_bytes() for path in delivered.state_bytes()}
    places |= {"deliveries": json.dumps(delivered.gateway.deliveries()).encode()}
    assert len(places) >= 6
    found = {(place, secret) for place, content in places.items() for secret in secrets if secret in decoded(content)}
    assert not found
    # The search must be able to find: all of it is in what was sent.
    assert all(secret in mr_study[0].read_bytes() or secret in text_forms(data_set) for secret in secrets)


def test_the_notice_is_constant_words_a_time_and_a_random_id(delivered: Bench):
    (message,) = harness.messages(delivered.store, "phone")
    notice = message_from_bytes(message.content, policy=policy.default)
    assert not notice.is_multipart() and notice.get_content_type() == "text/plain"
    text = notice.get_content()
    assert len(text) < 500
    assert not re.search("Yamada|山田|やまだ|GEN-|HEAD|MPRAGE", text)


def test_headers_are_constant_but_date_and_id(delivered: Bench):
    mails = harness.messages(delivered.store, "doctor")
    assert len(mails) >= 3
    headers = [own_headers(message) for message in mails]
    assert len({tuple(sorted(entry.items())) for entry in headers if "octet-stream" in entry["content-type"]}) == 1
    assert {entry["subject"] for entry in headers} == {"Scanpost"}
    delivery = delivered.gateway.deliveries()[0]["id"]
    identifiers = {harness.header(message, "Message-ID") for message in mails}
    pieces = delivered.gateway.deliveries()[0]["pieces"]
    assert identifiers == {f"<{delivery}.{part}@hospital.example>" for part in [*range(1, pieces + 1), "cover"]}


def test_openssl_opens_the_cover(delivered: Bench, tmp_path: Path):
    content = opened_cover(delivered, tmp_path, "doctor")
    cover = json.loads(content)
    delivery = delivered.gateway.deliveries()[0]
    assert cover["format"] == 1 and cover["sequence"] == 1 and cover["site"] == "hospital.example"
    assert cover["delivery"] == delivery["id"] and cover["case"] == delivery["case"]
    assert len(cover["pieces"]) == delivery["pieces"] and len(cover["content_key"]) == 64


def test_openssl_with_another_doctors_key_does_not_open_the_cover(delivered: Bench, tmp_path: Path):
    with pytest.raises(RuntimeError, match="openssl cms"):
        opened_cover(delivered, tmp_path, "doctor2")


@pytest.mark.parametrize("which", ["first piece", "last piece", "cover"])
def test_a_changed_message_writes_nothing_and_is_named(delivered: Bench, which: str):
    """The mailbox's owner, or its operator, puts a changed copy in the place of the original."""
    with Mailbox(delivered.store, "doctor") as mailbox:
        mails = mailbox.messages()
        chosen = {"first piece": mails[0], "last piece": pieces_of(mails)[-1], "cover": cover_of(mails)}[which]
        mailbox.append(with_one_bit_changed(chosen.content))
        mailbox.delete(chosen.uid)
    result = delivered.reader.pull()
    words = result.stdout + result.stderr
    assert result.returncode in (harness.EXIT_INCOMPLETE, harness.EXIT_REFUSED), words
    assert words.strip() and delivered.reader.files() == []
    assert delivered.gateway.deliveries()[0]["state"] == "notified"


def test_a_missing_piece_writes_nothing_and_says_what_is_missing(delivered: Bench):
    with Mailbox(delivered.store, "doctor") as mailbox:
        original = pieces_of(mailbox.messages())[1]
        mailbox.delete(original.uid)
    words = delivered.pull(expect=harness.EXIT_INCOMPLETE)
    assert "2" in words and delivered.reader.files() == []
    with Mailbox(delivered.store, "doctor") as mailbox:
        mailbox.append(original.content)
    delivered.pull()
    assert delivered.reader.files()


def test_the_journal_and_the_spool_are_closed_to_others(delivered: Bench):
    state = delivered.gateway.folder / "state"
    assert state.stat().st_mode & 0o077 == 0


def test_a_receipt_for_another_cover_is_ignored(delivered: Bench, tmp_path: Path):
    """Signed by the right doctor, under the right name, for a cover that was never sent."""
    delivery = delivered.gateway.deliveries()[0]
    certificate = delivered.keys.certificate("doctor")
    recipient = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest()
    receipt = signed_receipt(delivered, {
        "format": 1, "delivery": delivery["id"], "cover": "00" * 32, "recipient": recipient, "kind": "fetched", "at": 0, "instances": 24,
    }, tmp_path)
    mail = f"Message-ID: <{delivery['id']}.fetched.{recipient[:16]}@hospital.example>\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    with Mailbox(delivered.store, "doctor") as mailbox:
        mailbox.append(mail.encode() + base64.encodebytes(receipt).replace(b"\n", b"\r\n"))
    deadline = time.monotonic() + 30
    while "a receipt names another cover and is ignored" not in delivered.log.read_text():
        assert time.monotonic() < deadline, delivered.log.read_text()
        time.sleep(0.1)
    assert delivered.gateway.deliveries()[0]["state"] == "notified"


def signed_receipt(bench: Bench, receipt: dict, folder: Path) -> bytes:
    """By openssl, whose signing time is the moment: `at` must be the same second (SPEC 7)."""
    content, signed = folder / "receipt.json", folder / "receipt.der"
    while True:
        receipt["at"] = int(time.time())
        content.write_text(json.dumps(receipt, separators=(",", ":")))
        openssl.openssl("cms", "-sign", "-binary", "-nodetach", "-nosmimecap", "-nocerts", "-md", "sha256", "-outform", "DER",
                        "-signer", bench.keys.certificate("doctor"), "-inkey", bench.keys.key("doctor"), "-in", content, "-out", signed)
        shown = openssl.openssl("cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", signed).decode()
        if time.strftime("%b %e %H:%M:%S %Y", time.gmtime(receipt["at"])) in shown:
            return signed.read_bytes()


def patient_secrets(data_set: pydicom.Dataset) -> list[bytes]:
    """Names in every form, identifiers and UIDs of the study."""
    name = data_set.PatientName
    texts = [name.alphabetic, "Yamada", name.ideographic, "山田", name.phonetic, "やまだ", data_set.PatientID, data_set.AccessionNumber]
    forms = [text.encode(encoding) for text in texts for encoding in ("utf-8", "iso2022_jp", "shift_jis", "euc_jp", "utf-16-le")]
    uids = [data_set[word].value.encode() for word in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
    birth = [data_set.PatientBirthDate.encode()]
    return sorted({*forms, *uids, *birth})


def text_forms(data_set: pydicom.Dataset) -> list[bytes]:
    return [form for form in patient_secrets(data_set) if form]


def decoded(content: bytes) -> bytes:
    """The bytes as they are, and what base64 and quoted-printable lines in them say."""
    parts = [content]
    try:
        message = message_from_bytes(content, policy=policy.default)
        parts += [part.get_payload(decode=True) or b"" for part in message.walk()]
    except (ValueError, LookupError):
        pass
    return b"\n".join(parts)


def opened_cover(bench: Bench, folder: Path, doctor: str) -> bytes:
    """Decrypts the cover with the doctor's key, and verifies the site's signature on what is inside."""
    sealed, signed = folder / "cover.der", folder / "signed.der"
    sealed.write_bytes(payload(cover_of(harness.messages(bench.store, "doctor"))))
    keys = bench.keys
    openssl.openssl("cms", "-decrypt", "-inform", "DER", "-in", sealed, "-binary", "-out", signed,
                    "-recip", keys.certificate(doctor), "-inkey", keys.key(doctor))
    return openssl.openssl("cms", "-verify", "-inform", "DER", "-in", signed, "-binary", "-CAfile", keys.ca,
                           "-certfile", keys.certificate("site"), "-purpose", "any")


def payload(message: Message) -> bytes:
    return message_from_bytes(message.content).get_payload(decode=True)


def cover_of(mails: list[Message]) -> Message:
    return next(message for message in mails if ".cover@" in harness.header(message, "Message-ID"))


def pieces_of(mails: list[Message]) -> list[Message]:
    return [message for message in mails if re.search(r"\.\d+@", harness.header(message, "Message-ID"))]


def own_headers(message: Message) -> dict[str, str]:
    """Headers that the gateway wrote; the servers on the way add their own."""
    parsed = message_from_bytes(message.content, policy=policy.default)
    added = {"return-path", "delivered-to", "received", "date", "message-id"}
    return {name.lower(): str(value) for name, value in parsed.items() if name.lower() not in added}


def with_one_bit_changed(content: bytes) -> bytes:
    """One bit in the middle of the decoded body, base64 kept well-formed."""
    head, _, body = content.partition(b"\r\n\r\n")
    data = bytearray(base64.b64decode(body))
    data[len(data) // 2] ^= 1
    lines = base64.b64encode(bytes(data))
    return head + b"\r\n\r\n" + b"\r\n".join(lines[i : i + 76] for i in range(0, len(lines), 76)) + b"\r\n"
