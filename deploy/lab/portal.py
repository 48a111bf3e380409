"""A portal: its configuration, its accounts, and a phone that signs in by password or with a software passkey."""

import base64
import hashlib
import http.client
import json
import secrets
import ssl
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path

from lab import mail_store, openssl
from lab.keys import Keys
from lab.mail_store import MailStore
from lab.page import Account
from lab.process import Child
from lab.programs import program

START_SECONDS_MAX = 30
RP_ID = "localhost"


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64u(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Portal:
    """One portal in a folder; several may share `state`."""

    def __init__(self, folder: Path, log: Path, store: MailStore, keys: Keys, port: int, state: Path | None = None,
                 mailboxes: tuple[str, ...] = mail_store.DOCTORS, lines: tuple[str, ...] = (), tables: tuple[str, ...] = (),
                 imaps_port: int | None = None, origin: str | None = None):
        self.folder, self.log, self.port = folder, log, port
        self.origin = origin or self.url
        self.config = folder / "reader.toml"
        self.ca = keys.ca
        self.child: Child | None = None
        # Certificate and key that phones show, where the portal asks for one.
        self.phone_certificate: tuple[Path, Path] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        keys.make_server("portal")
        self.state = state or folder / "state"
        self.cache = folder / "cache"
        self.config.write_text("\n".join([
            "[portal]",
            f'listen = "127.0.0.1:{port}"',
            f'certificate = "{keys.certificate("portal")}"',
            f'key = "{keys.key("portal")}"',
            f'origin = "{self.origin}"',
            f'state = "{self.state}"',
            f'cache = "{self.cache}"',
            f'sites = ["{keys.certificate("site")}"]',
            *lines,
            *(line for name in mailboxes for line in _mailbox(name, store, imaps_port)),
            *tables,
            "",
        ]))

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def start(self) -> "Portal":
        self.child = Child([program("scanpost-reader"), "portal", "--config", self.config], self.log)
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._answers():
            if not self.child.is_running() or time.monotonic() > deadline:
                raise RuntimeError(f"the portal does not start\n{self.child.log_tail()}")
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        if self.child and self.child.is_running():
            self.child.stop()

    def command(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [program("scanpost-reader"), "portal", *arguments, "--config", self.config]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)

    def add_account(self, name: str, mailbox: str | None = None) -> Account:
        more = ["--mailbox", mailbox] if mailbox else []
        result = self.command("account", "add", name, "--json", *more)
        if result.returncode != 0:
            raise RuntimeError(f"scanpost-reader portal account add: {result.stderr.strip()}")
        made = json.loads(result.stdout)
        return Account(made["name"], made["password"], made["totp_secret"])

    def phone(self) -> "Phone":
        trust = ssl.create_default_context(cafile=str(self.ca))
        if self.phone_certificate:
            trust.load_cert_chain(*self.phone_certificate)
        return Phone(self.port, trust, self.origin)

    def _answers(self) -> bool:
        try:
            return self.phone().get("/shell.json").status == 200
        except OSError:
            return False


def _mailbox(name: str, store: MailStore, imaps_port: int | None) -> list[str]:
    return [
        f"[portal.mailboxes.{name}]",
        'host = "localhost"',
        f"port = {imaps_port or store.imaps_port}",
        f'user = "{mail_store.address(name)}"',
        f'password_file = "{store.password_file(name)}"',
        f'ca = "{store.ca}"',
    ]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return self.json["error"]


@dataclass
class Passkey:
    """A software authenticator with one P-256 credential."""

    credential: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: bytes = field(default_factory=lambda: openssl.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"))
    handle: bytes = b""
    count: int = 0
    rp_id: str = RP_ID

    def data(self, flags: int) -> bytes:
        self.count += 1
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def attestation(self) -> bytes:
        # The point ends the DER of a P-256 key (RFC 5480 2).
        point = openssl.openssl("pkey", "-pubout", "-outform", "DER", data=self.key)[-65:]
        cose = b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20" + point[1:33] + b"\x22\x58\x20" + point[33:]
        data = self.data(0x45) + bytes(16) + len(self.credential).to_bytes(2, "big") + self.credential + cose
        return b"\xa3cfmtdnonegattStmt\xa0hauthData\x58" + bytes([len(data)]) + data

    def sign(self, message: bytes) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "key.pem"
            path.write_bytes(self.key)
            return openssl.openssl("dgst", "-sha256", "-sign", str(path), data=message)


@dataclass
class Phone:
    """What the app's browser does, as far as it matters here: the cookie, the headers of its own requests."""

    port: int
    trust: ssl.SSLContext
    origin: str
    cookies: dict[str, str] = field(default_factory=dict)

    def request(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPSConnection("localhost", self.port, context=self.trust, timeout=60)
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        if method != "GET":
            sent |= {"X-Scanpost": "1", "Sec-Fetch-Site": "same-origin", "Origin": self.origin}
        sent |= headers or {}
        connection.request(method, path, body, {name: value for name, value in sent.items() if value})
        answer = connection.getresponse()
        for line in answer.headers.get_all("Set-Cookie") or []:
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
        result = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        connection.close()
        return result

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, path: str, content: object, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, json.dumps(content).encode(), {"Content-Type": "application/json", **named})

    def by_password(self, account: Account, password: str | None = None, code: str | None = None) -> Answer:
        return self.post("/api/sign-in/password", {
            "user": account.name, "password": account.password if password is None else password,
            "code": account.code() if code is None else code,
        })

    def client_data(self, kind: str, challenge: str, origin: str | None = None) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": origin or self.origin, "crossOrigin": False}).encode()

    def add_passkey(self, passkey: Passkey | None = None, name: str = "phone") -> Passkey:
        """Makes a passkey in the session that is there, which is a device's from then on."""
        passkey = passkey or Passkey()
        options = self.post("/api/devices/begin", {}).json
        passkey.handle = from_b64u(options["user"]["id"])
        answer = self.post("/api/devices/finish", {
            "credential": b64u(passkey.credential), "client_data": b64u(self.client_data("webauthn.create", options["challenge"])),
            "attestation": b64u(passkey.attestation()), "name": name,
        })
        if answer.status != 200:
            raise RuntimeError(f"devices/finish: {answer.status} {answer.body!r}")
        return passkey

    def by_passkey(self, passkey: Passkey, origin: str | None = None, flags: int = 0x05, challenge: str | None = None) -> Answer:
        challenge = challenge or self.post("/api/sign-in/begin", {}).json["challenge"]
        client_data = self.client_data("webauthn.get", challenge, origin)
        data = passkey.data(flags)
        signature = passkey.sign(data + hashlib.sha256(client_data).digest())
        return self.post("/api/sign-in/finish", {
            "credential": b64u(passkey.credential), "client_data": b64u(client_data), "authenticator_data": b64u(data),
            "signature": b64u(signature), "user_handle": b64u(passkey.handle),
        })

    def ranges(self, delivery: str, ranges: list[tuple[int, int, int]]) -> Answer:
        return self.post(f"/api/deliveries/{delivery}/ranges", {"ranges": ranges})
