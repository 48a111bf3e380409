"""Bad mail servers get no byte of a login, from none of our clients, and the operator learns which side must do what."""

import base64
import re
import ssl
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import openssl
from lab.gateway import Gateway, Settings
from lab.keys import Keys
from lab.mail_store import address
from lab.portal import Portal
from lab.ports import free_port
from lab.programs import TOP, program
from lab.reader import Reader
from peers import senders
from peers.authority import RSA_1024, Authority, Issued
from peers.mail_servers import MailServer

import harness

PASSWORD = "correct-horse-battery-staple-9"
ALERT_BYTES = 19  # one encrypted alert of TLS 1.3 (RFC 8446 5.2: 2, content type, 16 of tag); a login has more than 60
CBC = "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA"
GCM = "ECDHE-ECDSA-AES128-GCM-SHA256"
WAIT_SECONDS_MAX = 30


@dataclass
class World:
    """The authority that the client trusts, and others."""

    ours: Authority
    other: Authority
    namesake: Authority


@dataclass
class Case:
    """A server, the client's extra keys, and what the operator must read (SMTPS and reader; then the gateway's word on IMAPS)."""

    words: str
    imap_words: str
    certificate: Callable[[World], Issued] = lambda world: world.ours.issue()
    versions: tuple[ssl.TLSVersion, ssl.TLSVersion] = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    ciphers: str = "ALL:@SECLEVEL=0"
    plain: bool = False
    starttls: bool = False
    client_ca: Callable[[World], Path] | None = None
    keys: Callable[[World], list[str]] = lambda world: []
    # What the client sends encrypted before it knows that it is refused: its own certificate, in TLS 1.3.
    sends_certificate: bool = False
    revoked: bool = False


def only(version: ssl.TLSVersion) -> tuple[ssl.TLSVersion, ssl.TLSVersion]:
    return (version, version)


def crl(authority: str = "ours", **dates: float) -> Callable[[World], list[str]]:
    return lambda world: [f'crl = "{getattr(world, authority).revocations(**dates)}"']


def client_key(authority: str) -> Callable[[World], list[str]]:
    def keys(world: World) -> list[str]:
        issued = getattr(world, authority).issue("gateway", purpose="clientAuth")
        return [f'client_certificate = "{issued.certificate}"', f'client_key = "{issued.key}"']
    return keys


TLS12 = lambda world: ["tls12 = true"]  # noqa: E731
NO_TLS13 = r"offers no TLS 1\.3 \(server: enable it"
PLAIN = r"answers in plain text \(operator: name the port"
IMAP_CERTIFICATE, IMAP_TLS = "certificate of the IMAP server is refused", "does not speak TLS 1.3 from the first byte"
IMAP_CLIENT = "demands a client certificate or refuses ours"

BAD = {
    "expired": Case(r"has expired \(server: renew it", IMAP_CERTIFICATE, lambda world: world.ours.issue(begins=-9, ends=-1)),
    "not-yet-valid": Case(r"not valid yet \(operator: check the clock", IMAP_CERTIFICATE, lambda world: world.ours.issue(begins=2, ends=9)),
    "wrong-host": Case(r"for another name \(operator: correct host", IMAP_CERTIFICATE, lambda world: world.ours.issue("mail.example")),
    "unknown-ca": Case(r"no authority that we trust \(operator: put the root", IMAP_CERTIFICATE, lambda world: world.other.issue()),
    "self-signed": Case(r"no authority that we trust \(operator: put the root", IMAP_CERTIFICATE, lambda world: world.ours.self_signed()),
    "self-signed-authority": Case(
        r"not one of a server .*\(server: get one that an authority issued", IMAP_CERTIFICATE, lambda world: world.ours.self_signed(is_authority=True)),
    "ca-of-the-same-name": Case(r"authority with the same name", IMAP_CERTIFICATE, lambda world: world.namesake.issue()),
    "not-for-servers": Case(r"not for TLS servers \(server: get one", IMAP_CERTIFICATE, lambda world: world.ours.issue(purpose="clientAuth")),
    "sha1-signature": Case(r"weak or unknown algorithm, such as SHA-1 \(server", IMAP_CERTIFICATE, lambda world: world.ours.issue(digest="sha1")),
    "rsa-1024": Case(r"key that is too weak, such as RSA below 2048 bits \(server", IMAP_CERTIFICATE, lambda world: world.ours.issue(key=RSA_1024)),
    "revoked": Case(r"is revoked \(server: get a new one", IMAP_CERTIFICATE, revoked=True, keys=crl()),
    "crl-out-of-date": Case(r"revocation list is out of date \(operator: fetch", IMAP_CERTIFICATE, keys=crl(begins=-9, ends=-1)),
    "crl-of-another-authority": Case(r"crl says nothing about its authority \(operator", IMAP_CERTIFICATE, keys=crl("other")),
    "tls-1.0": Case(NO_TLS13, IMAP_TLS, versions=only(ssl.TLSVersion.TLSv1)),
    "tls-1.1": Case(NO_TLS13, IMAP_TLS, versions=only(ssl.TLSVersion.TLSv1_1)),
    "tls-1.1-where-1.2-is-allowed": Case(NO_TLS13, IMAP_TLS, versions=only(ssl.TLSVersion.TLSv1_1), keys=TLS12),
    "tls-1.2": Case(NO_TLS13, IMAP_TLS, versions=only(ssl.TLSVersion.TLSv1_2)),
    "tls-1.2-cbc-where-1.2-is-allowed": Case(
        r"no version and cipher suite in common", IMAP_TLS, versions=only(ssl.TLSVersion.TLSv1_2), ciphers=f"{CBC}:@SECLEVEL=0", keys=TLS12),
    "plain": Case(PLAIN, IMAP_TLS, plain=True),
    "starttls-only": Case(PLAIN, IMAP_TLS, plain=True, starttls=True),
    "wants-a-client-certificate": Case(
        r"demands a client certificate \(operator: set client_certificate", IMAP_CLIENT, client_ca=lambda world: world.ours.certificate,
        sends_certificate=True),
    "wants-another-client-certificate": Case(
        r"client certificate \(operator: get one", IMAP_CLIENT, client_ca=lambda world: world.ours.certificate,
        keys=client_key("other"), sends_certificate=True),
}
# For clients of ours that use the same configuration as those above: that it is that one.
SOME = ["unknown-ca", "expired", "tls-1.2", "plain", "wants-a-client-certificate"]
GOOD = {
    "as-it-should-be": Case("", ""),
    "tls-1.2-with-aead-where-allowed": Case("", "", versions=only(ssl.TLSVersion.TLSv1_2), ciphers=GCM, keys=TLS12),
    "with-a-fresh-crl": Case("", "", keys=crl()),
    "with-the-client-certificate-it-wants": Case(
        "", "", client_ca=lambda world: world.ours.certificate, keys=client_key("ours")),
}


@pytest.fixture(scope="module")
def world(scratch: Path) -> World:
    folder = scratch / "authorities"
    return World(Authority(folder / "ours"), Authority(folder / "other", "other root"), Authority(folder / "namesake"))


class Lab:
    """Two servers of one kind, SMTPS and IMAPS, and where the clients' settings come from."""

    def __init__(self, folder: Path, world: World, case: Case, keys: Keys):
        self.folder, self.case, self.keys = folder, case, keys
        issued = case.certificate(world)
        if case.revoked:
            world.ours.revoke(issued)
        context = None if case.plain else server_context(case, issued, world)
        self.smtp, self.imap = (MailServer(protocol, context, case.starttls) for protocol in ("smtp", "imap"))
        self.lines = case.keys(world)
        passwords = folder / "password"
        openssl.write_secret(passwords, PASSWORD.encode())
        self.store = types.SimpleNamespace(
            smtps_port=self.smtp.port, imaps_port=self.imap.port, ca=world.ours.certificate, password_file=lambda user: passwords)

    def stop(self) -> None:
        self.smtp.stop()
        self.imap.stop()


def server_context(case: Case, issued: Issued, world: World) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(case.ciphers)
    context.minimum_version, context.maximum_version = case.versions
    context.load_cert_chain(issued.certificate, issued.key)
    if case.client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(case.client_ca(world))
    return context


@pytest.fixture
def lab(request: pytest.FixtureRequest, tmp_path: Path, world: World, keys: Keys):
    lab = Lab(tmp_path, world, {**BAD, **GOOD}[request.param], keys)
    yield lab
    lab.stop()


def secrets(user: str) -> list[bytes]:
    """Login and commands in every form that they could take on the wire, base64 at all three offsets."""
    plain = [user.encode(), PASSWORD.encode(), f"\0{user}\0{PASSWORD}".encode()]
    coded = [base64.b64encode(b" " * offset + text)[4:-4] for text in plain for offset in range(3)]
    return [*plain, *coded, b"AUTH", b"LOGIN", b"EHLO", b"STARTTLS"]


def assert_nothing_said(server: MailServer, case: Case, user: str) -> None:
    assert server.connections, "nobody came"
    for connection in server.connections:
        # What a client that has gone sent may not have been read yet.
        wait_for("its first byte", lambda: connection.wire)
        assert connection.wire[:1] == b"\x16", "the first byte is that of a TLS handshake"
        assert [secret for secret in secrets(user) if secret in connection.wire] == []
        if not case.plain:
            assert bytes(connection.understood) == b""
        if not case.sends_certificate:
            assert connection.encrypted_bytes() <= ALERT_BYTES


def wait_for(what: str, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_SECONDS_MAX} s for {what}"
        time.sleep(0.05)


def gateway_of(lab: Lab) -> Gateway:
    settings = Settings(server_lines=lab.lines, poll_ms=200)
    return Gateway(lab.folder / "gateway", lab.folder / "gateway.log", lab.store, lab.keys, settings)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("lab", BAD, indirect=True)
def test_the_gateway_sends_a_bad_server_no_byte_of_its_login(lab: Lab):
    gateway = gateway_of(lab).start()
    try:
        log = gateway.log
        wait_for("a word on SMTPS", lambda: "the mail server cannot be used now" in log.read_text())
        wait_for("a word on IMAPS", lambda: lab.case.imap_words in log.read_text())
    finally:
        gateway.stop()
    words = next(line for line in log.read_text().splitlines() if "the mail server cannot be used now" in line)
    assert re.search(lab.case.words, words), words
    for server in (lab.smtp, lab.imap):
        assert_nothing_said(server, lab.case, address("gateway"))
    assert PASSWORD not in log.read_text()
    assert ("TLS 1.2 is allowed" in log.read_text()) == ("tls12 = true" in lab.lines)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("lab", BAD, indirect=True)
def test_the_reader_sends_a_bad_server_no_byte_of_its_login(lab: Lab):
    reader = Reader(lab.folder / "reader.toml", lab.folder / "pulled", lab.store, lab.keys, mailbox_lines=lab.lines)
    result = reader.pull()
    assert result.returncode == harness.EXIT_MAILBOX, result
    assert re.search(lab.case.words, result.stderr), result.stderr
    assert_nothing_said(lab.imap, lab.case, address("doctor"))
    assert PASSWORD not in result.stdout + result.stderr


@pytest.mark.parametrize("lab", GOOD, indirect=True)
def test_a_good_server_gets_the_login(lab: Lab):
    """The other half of the tests above: what they do not find is found here."""
    gateway = gateway_of(lab).start()
    try:
        wait_for("the login over SMTPS", lambda: b"AUTH PLAIN" in lab.smtp.understood())
        wait_for("the login over IMAPS", lambda: b"LOGIN" in lab.imap.understood())
    finally:
        gateway.stop()
    login = base64.b64encode(f"\0{address('gateway')}\0{PASSWORD}".encode())
    assert login in lab.smtp.understood() and PASSWORD.encode() in lab.imap.understood()
    assert all(connection.encrypted_bytes() > 2 * ALERT_BYTES for connection in lab.smtp.connections + lab.imap.connections)
    assert PASSWORD.encode() not in lab.smtp.wire() + lab.imap.wire()


@pytest.mark.parametrize("lab", SOME, indirect=True)
def test_a_bad_server_for_notices_gets_no_byte_either(lab: Lab, bench: harness.Bench, ct_study: list[Path]):
    notify = ["[notify.server]", 'host = "localhost"', f"port = {lab.smtp.port}", f'user = "{address("gateway")}"',
              f'password_file = "{lab.store.password_file("gateway")}"', f'ca = "{lab.store.ca}"']
    bench.gateway.extra_configuration = "\n".join(notify) + "\n"
    bench.start(cover_seen_ms=200)
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study)
    (delivery,) = bench.gateway.wait_for("the refusal", lambda deliveries: deliveries and deliveries[0]["trouble"])
    assert delivery["state"] == "submitted" and re.search(lab.case.words, delivery["trouble"]), delivery
    assert_nothing_said(lab.smtp, lab.case, address("gateway"))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("lab", SOME, indirect=True)
def test_the_portal_sends_a_bad_server_no_byte_of_its_logins(lab: Lab):
    portal = Portal(lab.folder / "portal", lab.folder / "portal.log", lab.store, lab.keys, free_port(), mailboxes=("doctor",), tables=tuple(lab.lines))
    portal.start()
    try:
        wait_for("a word on the mailbox", lambda: re.search(lab.case.words, portal.log.read_text()))
    finally:
        portal.stop()
    assert_nothing_said(lab.imap, lab.case, address("doctor"))
    assert PASSWORD not in portal.log.read_text()


def test_no_way_from_plain_text_to_tls_exists():
    """Neither in our sources nor in the binaries that ship: nobody can be talked into it. `check` reads what servers of others offer; that it never asks for
    it either, the binaries show."""
    sources = [path for crate in ("tls", "seal", "notifier", "gateway", "reader") for path in (TOP / crate / "src").rglob("*.rs")]
    for source in (path for path in sources if path.parent != TOP / "gateway" / "src" / "check"):
        code = [line for line in source.read_text().splitlines() if not re.search(r'//|STARTTLS does not exist here', line)]
        assert not re.search(r"starttls|Tls::(Opportunistic|Required)", "\n".join(code), re.IGNORECASE), source
    for name in ("scanpost-gateway", "scanpost-reader"):
        assert b"STARTTLS\r\n" not in program(name).read_bytes(), name


def test_a_client_key_that_others_may_read_is_refused(tmp_path: Path, world: World, keys: Keys):
    lab = Lab(tmp_path, world, GOOD["with-the-client-certificate-it-wants"], keys)
    issued = world.ours.issue("gateway", purpose="clientAuth")
    issued.key.chmod(0o640)
    lines = [f'client_certificate = "{issued.certificate}"', f'client_key = "{issued.key}"']
    gateway = Gateway(tmp_path / "gateway", tmp_path / "gateway.log", lab.store, keys, Settings(server_lines=lines))
    with pytest.raises(RuntimeError):
        gateway.start()
    lab.stop()
    assert f"{issued.key} may be read by others: chmod 600 it" in gateway.log.read_text()
