"""`scanpost-reader profile`: a property list as Apple describes it, with an identity that openssl opens."""

import plistlib
import re
import subprocess
from pathlib import Path

import pytest

from lab.keys import Keys
from lab.mail_store import MailStore
from lab.openssl import openssl
from lab.programs import program

from harness import Bench

# Keys and types of Apple's "Device Management": what every payload has, and what each kind must have.
COMMON = {"PayloadType": str, "PayloadVersion": int, "PayloadIdentifier": str, "PayloadUUID": str, "PayloadDisplayName": str}
REQUIRED = {
    "com.apple.mail.managed": {
        "EmailAccountType": str, "EmailAddress": str, "IncomingMailServerHostName": str, "IncomingMailServerPortNumber": int,
        "IncomingMailServerUseSSL": bool, "IncomingMailServerUsername": str, "IncomingMailServerAuthentication": str,
        "OutgoingMailServerHostName": str, "OutgoingMailServerPortNumber": int, "OutgoingMailServerUseSSL": bool,
        "OutgoingMailServerAuthentication": str, "SMIMESigningEnabled": bool, "SMIMESigningCertificateUUID": str,
        "SMIMEEncryptionCertificateUUID": str, "SMIMEEncryptByDefault": bool,
    },
    "com.apple.security.pkcs12": {"PayloadContent": bytes, "PayloadCertificateFileName": str},
    "com.apple.security.pkcs1": {"PayloadContent": bytes, "PayloadCertificateFileName": str},
    "com.apple.security.root": {"PayloadContent": bytes, "PayloadCertificateFileName": str},
}
OPTIONAL_MAIL = {
    "EmailAccountDescription": str, "EmailAccountName": str, "OutgoingMailServerUsername": str, "OutgoingPasswordSameAsIncomingPassword": bool,
    "PreventMove": bool, "PreventAppSheet": bool, "SMIMEEnabled": bool,
}
UUID = re.compile("[0-9A-F]{8}-[0-9A-F]{4}-8[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}")


class Made:
    def __init__(self, path: Path, password: str):
        self.path, self.password = path, password
        self.profile = plistlib.loads(path.read_bytes())

    def payloads(self, kind: str) -> list[dict]:
        return [payload for payload in self.profile["PayloadContent"] if payload["PayloadType"] == kind]


def make(bench: Bench, out: Path, submission: str = "smtp.mail.example:465") -> subprocess.CompletedProcess:
    command = [program("scanpost-reader"), "profile", "--config", bench.reader.config, "--submission", submission, "--out", out]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)


@pytest.fixture
def made(bench: Bench, tmp_path: Path) -> Made:
    result = make(bench, tmp_path / "doctor.mobileconfig")
    assert result.returncode == 0, result.stderr
    (password,) = re.findall("[A-Z2-9]{4}(?:-[A-Z2-9]{4}){3}", result.stdout)
    return Made(tmp_path / "doctor.mobileconfig", password)


def test_the_profile_is_as_apple_describes_it(made: Made):
    subprocess.run(["plistutil", "-i", made.path, "-f", "bin", "-o", made.path.with_suffix(".bin")], check=True)
    assert plistlib.loads(made.path.with_suffix(".bin").read_bytes()) == made.profile, "libplist reads the same"
    assert made.profile["PayloadType"] == "Configuration" and made.path.stat().st_mode & 0o777 == 0o600
    payloads = [made.profile, *made.profile["PayloadContent"]]
    for payload in payloads:
        required = COMMON | REQUIRED.get(payload["PayloadType"], {})
        for key, kind in required.items():
            assert type(payload[key]) is kind, (payload["PayloadType"], key)
        assert payload["PayloadVersion"] == 1 and UUID.fullmatch(payload["PayloadUUID"])
    assert {payload["PayloadType"] for payload in payloads[1:]} == set(REQUIRED)
    for key in ("PayloadUUID", "PayloadIdentifier"):
        assert len({payload[key] for payload in payloads}) == len(payloads)
    (mail,) = made.payloads("com.apple.mail.managed")
    for key in set(mail) - set(COMMON) - set(REQUIRED["com.apple.mail.managed"]):
        assert type(mail[key]) is OPTIONAL_MAIL[key], key


def test_the_account_is_that_of_the_reader_and_uses_the_identity(made: Made, bench: Bench, store: MailStore):
    (mail,), (identity,) = made.payloads("com.apple.mail.managed"), made.payloads("com.apple.security.pkcs12")
    assert (mail["IncomingMailServerHostName"], mail["IncomingMailServerPortNumber"]) == ("localhost", store.imaps_port)
    assert (mail["OutgoingMailServerHostName"], mail["OutgoingMailServerPortNumber"]) == ("smtp.mail.example", 465)
    assert mail["EmailAccountType"] == "EmailTypeIMAP" and mail["IncomingMailServerUseSSL"] and mail["OutgoingMailServerUseSSL"]
    assert mail["SMIMESigningCertificateUUID"] == mail["SMIMEEncryptionCertificateUUID"] == identity["PayloadUUID"]
    text = made.path.read_text()
    assert store.password("doctor") not in text and made.password not in text, "no password lies in the file"


def test_openssl_opens_the_identity_with_the_password_alone(made: Made, keys: Keys, tmp_path: Path):
    (identity,) = made.payloads("com.apple.security.pkcs12")
    file = tmp_path / "identity.p12"
    file.write_bytes(identity["PayloadContent"])
    key = openssl("pkcs12", "-in", file, "-passin", f"pass:{made.password}", "-nodes", "-nocerts")
    certificate = openssl("pkcs12", "-in", file, "-passin", f"pass:{made.password}", "-nokeys", "-clcerts")
    assert openssl("pkey", "-pubout", data=key) == openssl("pkey", "-pubout", "-in", keys.key("doctor"))
    assert openssl("x509", "-outform", "DER", data=certificate) == openssl("x509", "-outform", "DER", "-in", keys.certificate("doctor"))
    with pytest.raises(RuntimeError, match="pkcs12"):
        openssl("pkcs12", "-in", file, "-passin", f"pass:{made.password[:-1]}", "-nodes")
    info = openssl("pkcs12", "-in", file, "-passin", f"pass:{made.password}", "-info", "-noout", "-nodes")
    assert info == b""


def test_certificates_to_trust_are_those_of_the_site_and_the_mail_server(made: Made, keys: Keys, store: MailStore):
    (site,), (authority,) = made.payloads("com.apple.security.pkcs1"), made.payloads("com.apple.security.root")
    assert site["PayloadContent"] == openssl("x509", "-outform", "DER", "-in", keys.certificate("site"))
    assert authority["PayloadContent"] == openssl("x509", "-outform", "DER", "-in", store.ca)


def test_a_second_profile_has_the_same_names_and_another_password_and_overwrites_nothing(made: Made, bench: Bench, tmp_path: Path):
    before = made.path.read_bytes()
    result = make(bench, made.path)
    assert result.returncode != 0 and "exists" in result.stderr and made.path.read_bytes() == before
    again = make(bench, tmp_path / "again.mobileconfig")
    assert made.password not in again.stdout
    ids = [[payload["PayloadUUID"] for payload in plistlib.loads(path.read_bytes())["PayloadContent"]] for path in (made.path, tmp_path / "again.mobileconfig")]
    assert ids[0] == ids[1]
