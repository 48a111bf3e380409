"""The directory of doctors: enrolment by a one-time code against somebody who rewrites the mailbox, several devices, renewal, revocation, keys at
rest, and what the audit trail says of all that."""

import base64
import json
import re
import subprocess
import time
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab import mail_store, openssl
from lab.keys import Keys
from lab.mailbox import Mailbox
from lab.openssl import openssl as run
from lab.programs import program
from peers import senders
from peers.authority import Authority

import harness
from harness import EXIT_DONE, EXIT_INCOMPLETE, Bench

EXIT_SETUP = 5
PASSPHRASE = "correct horse battery"
PRINT = re.compile(r"(?:[0-9A-Z]{4}-){3}[0-9A-Z]{4}(?![-0-9A-Z])")
CODE = re.compile(r"(?:[0-9A-Z]{4}-){5}[0-9A-Z]{4}@hospital\.example")
SECONDS_MAX = 30


@dataclass
class Device:
    """A reader with a key folder of its own on the doctor's mailbox."""

    bench: Bench
    name: str

    def __post_init__(self):
        self.reader = self.bench.reader_of("doctor")
        folder = self.bench.folder / self.name
        folder.mkdir()
        text = self.reader.config.read_text()
        text = re.sub(r"sites = .*\n", "", text)
        text = re.sub(r"(?m)^(key|certificate|plain_keys) = .*\n", "", text)
        text = text.replace("[doctor]\n", '[doctor]\nkeys = "keys"\npassphrase_file = "passphrase"\n')
        text = re.sub(r"output = .*\n", f"output = {json.dumps(str(folder / 'pulled'))}\n", text)
        self.reader.config, self.reader.output = folder / "reader.toml", folder / "pulled"
        self.reader.config.write_text(text)
        self.keys, self.code = folder / "keys", folder / "code"
        (folder / "passphrase").write_text(PASSPHRASE + "\n")
        (folder / "passphrase").chmod(0o600)

    def enrol(self, code: str, expect: int, wait: int = 0) -> str:
        self.code.write_text(code + "\n")
        return self.run("enrol", "--code-file", self.code, "--device", self.name, "--wait", wait, expect=expect)

    def renew(self) -> str:
        return self.run("renew", expect=EXIT_DONE)

    def run(self, command: str, *words: object, expect: int) -> str:
        line = [program("scanpost-reader"), command, "--config", self.reader.config, *words]
        result = subprocess.run(list(map(str, line)), capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        assert result.returncode == expect, f"exit {result.returncode}: {result.stdout}{result.stderr}"
        return result.stdout + result.stderr

    def pins(self) -> list[Path]:
        return sorted(self.keys.glob("sites/*.pem"))


def doctor(bench: Bench, *words: object, refused: bool = False) -> str:
    """`scanpost-gateway doctor …`, beside the running gateway."""
    command = [program("scanpost-gateway"), "doctor", "--config", bench.gateway.config, *words]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
    assert (result.returncode != 0) == refused, f"exit {result.returncode}: {result.stdout}{result.stderr}"
    return result.stdout + result.stderr


def invite(bench: Bench) -> str:
    shown = doctor(bench, "invite", "doctor")
    assert "█" in shown, "a QR code is drawn"
    return CODE.search(shown).group()


def wait_for(what, seconds: float = SECONDS_MAX):
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)
    return value


def waiting(bench: Bench) -> list[str]:
    return PRINT.findall(doctor(bench, "confirm", "doctor").split("Ask the doctor")[0])


def enrolled(bench: Bench, name: str) -> Device:
    """By the whole way: code, request, comparison, answer."""
    device, code = Device(bench, name), invite(bench)
    (fingerprint,) = PRINT.findall(device.enrol(code, EXIT_INCOMPLETE))
    assert wait_for(lambda: waiting(bench)) == [fingerprint]
    doctor(bench, "confirm", "doctor", "--fingerprint", fingerprint)
    assert "Enrolled" in device.enrol(code, EXIT_DONE, wait=SECONDS_MAX)
    return device


def parts(bench: Bench, part: str) -> list:
    return [message for message in harness.messages(bench.store, "doctor") if f".{part}@" in harness.header(message, "Message-ID")]


def body(message) -> bytes:
    return base64.b64decode(message_from_bytes(message.content).get_payload())


def with_body(message, content: bytes) -> bytes:
    head = message.content.split(b"\r\n\r\n", 1)[0]
    return head + b"\r\n\r\n" + base64.encodebytes(content).replace(b"\n", b"\r\n")


def replace(bench: Bench, message, *contents: bytes) -> None:
    """What a mailbox operator can do: take a message away and put others in its place."""
    with Mailbox(bench.store, "doctor") as mailbox:
        mailbox.delete(message.uid)
        for content in contents:
            mailbox.append(with_body(message, content))


@pytest.fixture
def open_bench(bench: Bench) -> Bench:
    """A gateway whose doctor has no certificate yet."""
    bench.start(without_certificate=("doctor",))
    return bench


def audited(bench: Bench) -> list[str]:
    """What the trail says was done to the directory, in order."""
    paths = sorted((bench.gateway.folder / "state" / "audit").glob("trail-*.log"))
    lines = [line for path in paths for line in path.read_text().splitlines() if "User Security Attributes Changed" in line]
    return [re.search(r"<EventOutcomeDescription>([^<]*)<", line).group(1) for line in lines]


def listed(bench: Bench) -> list[tuple[str, str]]:
    return [(line["device"], line["state"]) for line in json.loads(doctor(bench, "list", "--json"))]


def test_two_devices_enrol_and_open_and_a_lost_one_does_not(open_bench: Bench, ct_study: list[Path]):
    bench = open_bench
    phone, desk = enrolled(bench, "phone"), enrolled(bench, "desk")
    first, second, third = ct_study[:6], ct_study[6:9], ct_study[9:]
    senders.pynetdicom(bench.port, "DR_DEMO", first)
    bench.gateway.wait_for_state(*harness.DONE)
    bench.pull(phone.reader)
    bench.gateway.wait_for_state("pulled")
    bench.pull(desk.reader)
    for device in (phone, desk):
        harness.assert_equal_bytes(first, device.reader.files())
    assert listed(bench) == [("phone", "active"), ("desk", "active")]
    # A lost phone: five seconds later, without a restart, nothing is sealed for it.
    doctor(bench, "revoke", "doctor", "phone")
    time.sleep(5)
    senders.pynetdicom(bench.port, "DR_DEMO", second)
    bench.gateway.wait_for_state("notified", "pulled", count=2)
    assert "not addressed to this recipient" in bench.pull(phone.reader, expect=harness.EXIT_REFUSED)
    bench.pull(desk.reader)
    bench.gateway.wait_for_state("pulled", count=2)
    # The other one too: then nothing goes, and who must act is said.
    doctor(bench, "revoke", "doctor", "--all")
    senders.pynetdicom(bench.port, "DR_DEMO", third)
    wait_for(lambda: any("only revoked certificates (operator: scanpost-gateway doctor invite" in (delivery["trouble"] or "")
                         for delivery in bench.gateway.deliveries()))
    wait_for(lambda: len(audited(bench)) >= 8)
    assert audited(bench) == ["a one-time code was given out", "a device asks to be enrolled", "a device was enrolled"] * 2 + ["a device was revoked"] * 2
    verify = [program("scanpost-gateway"), "audit", "verify", "--config", bench.gateway.config]
    assert subprocess.run(list(map(str, verify)), capture_output=True).returncode == 0


def test_keys_are_encrypted_and_no_private_key_leaves_the_device(open_bench: Bench):
    bench, device = open_bench, enrolled(open_bench, "phone")
    keys = sorted(device.keys.glob("*.key"))
    assert [key.name for key in keys] == ["encryption-0001.key", "identity.key"]
    for key in keys:
        assert key.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----") and oct(key.stat().st_mode)[-3:] == "600"
        assert subprocess.run(["openssl", "pkey", "-in", key, "-passin", "pass:another one", "-noout"], capture_output=True).returncode != 0
        plain = subprocess.run(["openssl", "ec", "-in", key, "-passin", f"pass:{PASSPHRASE}", "-outform", "DER"], capture_output=True, check=True).stdout
        # SEC1: the private number is the first octet string.
        secret = plain[plain.index(b"\x04\x20") + 2:][:32]
        mails = b"".join(body(message) for message in harness.messages(bench.store, "doctor"))
        assert len(secret) == 32 and secret not in mails and secret not in b"".join(bench.gateway.folder.joinpath("state", name).read_bytes()
                                                                                  for name in ("journal.sqlite", "journal.sqlite-wal"))
    (device.keys.parent / "passphrase").write_text("another passphrase")
    assert "passphrase is wrong" in bench.pull(device.reader, expect=EXIT_SETUP)
    (device.keys.parent / "passphrase").unlink()
    assert "cannot read" in bench.pull(device.reader, expect=EXIT_SETUP)


def test_a_renewed_device_opens_old_and_new_mail(open_bench: Bench, ct_study: list[Path]):
    bench, phone = open_bench, enrolled(open_bench, "phone")
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study[:6])
    bench.gateway.wait_for_state(*harness.DONE)
    assert "hospital.example is told" in phone.renew()
    wait_for(lambda: listed(bench) == [("phone", "superseded"), ("phone", "active")])
    # Twice is the same: the site has not sealed for it yet.
    phone.renew()
    assert len(parts(bench, "renew")) == 1
    # The mail of the open case, sealed for the key before, and the receipt under it.
    bench.pull(phone.reader)
    bench.gateway.wait_for_state("pulled")
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study[6:])
    bench.gateway.wait_for_state("notified", "pulled", count=2)
    bench.pull(phone.reader)
    bench.gateway.wait_for_state("pulled", count=2)
    assert not list(phone.keys.glob("renewal-*")), "the new key is in use"
    assert len(list(phone.keys.glob("encryption-*.key"))) == 2, "the old one stays while its mail lies there"
    # A renewal by somebody else, and this one again: nothing changes.
    (renewal,) = parts(bench, "renew")
    changed = bytearray(body(renewal))
    changed[-40] ^= 1
    with Mailbox(bench.store, "doctor") as mailbox:
        mailbox.append(with_body(renewal, bytes(changed)))
        mailbox.append(renewal.content)
    wait_for(lambda: "names itself a renewal is not taken" in bench.log.read_text())
    assert listed(bench) == [("phone", "superseded"), ("phone", "active")]
    # The lost phone: both keys go.
    doctor(bench, "revoke", "doctor", "phone")
    assert listed(bench) == [("phone", "revoked"), ("phone", "revoked")]


def test_a_site_key_is_read_under_its_passphrase_and_a_plain_one_only_by_choice(bench: Bench, tmp_path: Path):
    words = tmp_path / "words"
    words.write_text(PASSPHRASE)
    words.chmod(0o600)
    sealed = tmp_path / "site.key"
    openssl.openssl("pkcs8", "-topk8", "-scrypt", "-in", bench.keys.key("site"), "-passout", f"file:{words}", "-out", sealed)
    sealed.chmod(0o600)
    bench.settings.site_key_lines = ["plain_keys = false"]
    with pytest.raises(RuntimeError, match="is not encrypted; run: openssl pkcs8"):
        bench.gateway.start()
    bench.settings.site_key_lines = [f'passphrase_file = "{words}"']
    original = bench.keys.key
    bench.gateway.keys = Keys(bench.keys.folder)
    bench.gateway.keys.key = lambda name: sealed if name == "site" else original(name)
    bench.gateway.start()
    assert "whoever gets at the disk can sign" not in bench.log.read_text()


def test_requests_that_the_mailbox_operator_rewrites_are_caught(open_bench: Bench):
    bench, device, mallory = open_bench, Device(open_bench, "phone"), Device(open_bench, "mallory")
    bench.gateway.stop()
    code, guessed = invite(bench), invite(bench)
    device.enrol(code, EXIT_INCOMPLETE)
    (genuine,) = parts(bench, "enrol")
    mallory.enrol(guessed, EXIT_INCOMPLETE)
    (own,) = [message for message in parts(bench, "enrol") if message.uid != genuine.uid]
    swapped = body(genuine)[:32] + body(own)[32:]
    replace(bench, own)
    # Own keys under a code of one's own, under the doctor's MAC, and a bit of the certificate changed.
    changed = bytearray(body(genuine))
    changed[400] ^= 1
    replace(bench, genuine, body(own), swapped, bytes(changed))
    bench.start()
    wait_for(lambda: bench.log.read_text().count("does not have its code") >= 3)
    assert waiting(bench) == []
    assert "no request" in doctor(bench, "confirm", "doctor", "--fingerprint", "0000-0000-0000-0000", refused=True)
    # The device finds that its message is gone, sends the same again, and is taken.
    (fingerprint,) = PRINT.findall(device.enrol(code, EXIT_INCOMPLETE))
    assert wait_for(lambda: waiting(bench)) == [fingerprint]
    # A copy of it changes nothing, nor does it after the code was used.
    (genuine,) = [message for message in parts(bench, "enrol") if body(message)[:32] == swapped[:32] and body(message) not in (swapped, bytes(changed))]
    with Mailbox(bench.store, "doctor") as mailbox:
        mailbox.append(genuine.content)
    doctor(bench, "confirm", "doctor", "--fingerprint", fingerprint)
    device.enrol(code, EXIT_DONE, wait=SECONDS_MAX)
    with Mailbox(bench.store, "doctor") as mailbox:
        mailbox.append(genuine.content)
    time.sleep(3)
    assert waiting(bench) == [] and len(json.loads(doctor(bench, "list", "--json"))) == 1


def test_a_code_is_dead_after_five_wrong_messages(open_bench: Bench):
    bench, device = open_bench, Device(open_bench, "phone")
    bench.gateway.stop()
    code = invite(bench)
    device.enrol(code, EXIT_INCOMPLETE)
    (genuine,) = parts(bench, "enrol")
    replace(bench, genuine, *(bytes([guess]) * 400 for guess in range(5)))
    bench.start()
    wait_for(lambda: "the invitation is over" in bench.log.read_text())
    device.enrol(code, EXIT_INCOMPLETE)
    time.sleep(3)
    assert waiting(bench) == [], "the code is dead, the genuine request too"


def test_a_code_that_two_devices_use_is_dead(open_bench: Bench):
    bench, device, thief = open_bench, Device(open_bench, "phone"), Device(open_bench, "thief")
    code = invite(bench)
    one, other = (PRINT.findall(each.enrol(code, EXIT_INCOMPLETE)) for each in (device, thief))
    assert one != other
    wait_for(lambda: "two devices used one code" in bench.log.read_text())
    assert waiting(bench) == []
    assert "no request" in doctor(bench, "confirm", "doctor", "--fingerprint", one[0], refused=True)


def test_answers_that_the_mailbox_operator_rewrites_pin_nothing(open_bench: Bench, tmp_path: Path):
    bench, device, other = open_bench, Device(open_bench, "phone"), Device(open_bench, "other")
    code, second = invite(bench), invite(bench)
    prints = [PRINT.findall(each.enrol(each_code, EXIT_INCOMPLETE))[0] for each, each_code in ((device, code), (other, second))]
    wait_for(lambda: sorted(waiting(bench)) == sorted(prints))
    # The second one is confirmed by a site with the same name and another key, as a portal in the middle would.
    genuine_key = bench.keys
    impostor = Keys(tmp_path / "impostor").make()
    text = bench.gateway.config.read_text()
    bench.gateway.config.write_text(text.replace(str(genuine_key.key("site")), str(impostor.key("site"))).replace(
        str(genuine_key.certificate("site")), str(impostor.certificate("site"))))
    doctor(bench, "confirm", "doctor", "--fingerprint", prints[1])
    bench.gateway.config.write_text(text)
    doctor(bench, "confirm", "doctor", "--fingerprint", prints[0])
    wait_for(lambda: len(parts(bench, "enrolled")) == 2)
    invitation = harness.header(parts(bench, "enrol")[0], "Message-ID").split(".")[0]
    genuine, foreign = sorted(parts(bench, "enrolled"), key=lambda message: not harness.header(message, "Message-ID").startswith(invitation))
    changed = bytearray(body(genuine))
    changed[200] ^= 1
    replace(bench, genuine, body(foreign), body(genuine)[:32] + body(foreign)[32:], bytes(changed), b"")
    words = device.enrol(code, EXIT_INCOMPLETE)
    assert device.pins() == [] and words.count("is not from the site") == 4
    with Mailbox(bench.store, "doctor") as mailbox:
        mailbox.append(genuine.content)
    device.enrol(code, EXIT_DONE)
    (pinned,) = device.pins()
    assert pinned.name == "hospital.example.pem" and openssl.openssl("x509", "-in", pinned, "-outform", "DER") == openssl.openssl(
        "x509", "-in", genuine_key.certificate("site"), "-outform", "DER")


def test_a_mistyped_code_and_a_device_that_is_not_enrolled_say_so(open_bench: Bench):
    device, code = Device(open_bench, "phone"), invite(open_bench)
    wrong = code.replace(code[0], "0" if code[0] != "0" else "1", 1)
    assert "mistyped" in device.enrol(wrong, EXIT_SETUP)
    assert "not enrolled" in open_bench.pull(device.reader, expect=EXIT_SETUP)
    stored = (open_bench.gateway.folder / "state" / "journal.sqlite").read_bytes()
    stored += (open_bench.gateway.folder / "state" / "journal.sqlite-wal").read_bytes()
    digits = code.split("@")[0]
    assert digits.encode() not in stored and digits.replace("-", "").encode() not in stored
    assert digits not in open_bench.log.read_text()


def test_a_doctor_without_a_valid_certificate_does_not_hold_up_the_group(bench: Bench, ct_study: list[Path], tmp_path: Path):
    bench.start(without_certificate=("doctor2",), destinations={"DR_DEMO": ["doctor", "doctor2"]})
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study)
    (delivery,) = bench.deliver_and_pull()
    refused = {entry["doctor"]: entry["refused"] for entry in delivery["doctors"]}
    assert refused["doctor"] is None and "doctor2 has no certificate (operator:" in refused["doctor2"]
    assert "left out" in bench.log.read_text()


def test_an_rsa_doctor_is_added_opens_and_answers(open_bench: Bench, ct_study: list[Path], tmp_path: Path):
    bench = open_bench
    openssl.openssl("req", "-x509", "-newkey", "rsa:3072", "-nodes", "-keyout", tmp_path / "rsa.key", "-out", tmp_path / "rsa.pem",
                    "-subj", "/CN=rsa", "-days", 20)
    (tmp_path / "rsa.key").chmod(0o600)
    openssl.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "short.key", "-out", tmp_path / "short.pem",
                    "-subj", "/CN=short", "-days", 20)
    assert "2048 bits" in doctor(bench, "add", "doctor", "--certificate", tmp_path / "short.pem", refused=True)
    assert "RSA signs no receipts" in doctor(bench, "add", "doctor", "--certificate", tmp_path / "rsa.pem", refused=True)
    doctor(bench, "add", "doctor", "--certificate", tmp_path / "rsa.pem", "--identity", bench.keys.certificate("doctor"))
    assert "ends within 30 days" in doctor(bench, "list")
    reader = bench.reader_of("doctor")
    text = reader.config.read_text()
    for name in ("key", "certificate"):
        path = json.dumps(str(getattr(bench.keys, name)("doctor")))
        new = json.dumps(str(tmp_path / ("rsa.key" if name == "key" else "rsa.pem")))
        text = text.replace(f"{name} = {path}", f"{name} = {new}\nidentity_{name} = {path}")
    reader.config.write_text(text)
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study)
    bench.gateway.wait_for_state(*harness.DONE)
    bench.pull(reader)
    bench.gateway.wait_for_state("pulled")
    harness.assert_equal_bytes(ct_study, reader.files())


USAGE = "keyUsage = digitalSignature\nextendedKeyUsage = emailProtection\n"


def test_the_hospitals_authority_certifies_and_revokes_a_device(bench: Bench, ct_study: list[Path], tmp_path: Path):
    """With openssl as the authority, from what doctor certify shows to its revocation list."""
    authority = Authority(tmp_path / "authority", "Hospital CA")
    ca, key, crl = authority.certificate, authority.key, authority.revocations()
    (tmp_path / "usage.cnf").write_text(USAGE)
    bench.gateway.extra_configuration = f'[directory]\nca = "{ca}"\ncrl = "{crl}"\nenrolled = "certified"\n'
    bench.start(without_certificate=("doctor",))
    phone = enrolled(bench, "phone")
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study)
    wait_for(lambda: any("doctor certify doctor" in (delivery["trouble"] or "") for delivery in bench.gateway.deliveries()))
    request, issued, other = tmp_path / "phone.pem", tmp_path / "issued.pem", tmp_path / "other.pem"
    request.write_text(doctor(bench, "certify", "doctor"))
    run("x509", "-in", request, "-CA", ca, "-CAkey", key, "-set_serial", "0x4711", "-clrext", "-days", "730", "-extfile", tmp_path / "usage.cnf", "-out", issued)
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x", "-keyout", tmp_path / "x.key", "-out", other)
    assert "of another key" in doctor(bench, "certify", "doctor", "--certificate", other, refused=True)
    assert "no authority of [directory] ca issued" in doctor(bench, "certify", "doctor", "--certificate", request, refused=True)
    assert "is certified" in doctor(bench, "certify", "doctor", "phone", "--certificate", issued)
    bench.gateway.wait_for_state(*harness.DONE)
    bench.pull(phone.reader)
    harness.assert_equal_bytes(ct_study, phone.reader.files())
    assert json.loads(doctor(bench, "list", "--json"))[0]["certified"] is True
    authority.revoke(SimpleNamespace(certificate=issued))
    assert authority.revocations() == crl
    assert "NOT SEALED FOR" in doctor(bench, "list")
    wait_for(lambda: "an authority certified a device" in audited(bench)[-1])
