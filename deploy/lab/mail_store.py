"""The private mail store: Postfix (SMTPS) and Dovecot (IMAPS) with all their state in one folder, on loopback."""

import base64
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from lab import openssl
from lab.ports import free_port, is_listening
from lab.process import Ending, children

DOMAIN = "scanpost.test"
# The doctors receive studies, phone receives notices, gateway submits and looks into the doctors' mailboxes.
DOCTORS = ("doctor", "doctor2")
USERS = (*DOCTORS, "phone", "gateway")
# Rights l, r, t, e of RFC 4314 2.1 for the gateway in the doctors' folders, by Dovecot's names.
GATEWAY_RIGHTS = ("lookup", "read", "write-deleted", "expunge")
FOLDERS = ("INBOX", "Junk")
TEMPLATES = Path(__file__).resolve().parent.parent / "mail-store"
START_SECONDS_MAX = 20
SESSION_SECONDS_MAX = 2
# A Unix socket's path has 108 bytes (unix(7)); Dovecot's longest name below the folder is about 40.
DIR_CHARACTERS_MAX = 64


@dataclass
class Options:
    """What a start may change; the ports stay the same over restarts unless given."""

    smtps_port: int | None = None
    imaps_port: int | None = None
    message_size_limit: int = 20 * 1024 * 1024
    quota_default: str = "100G"
    quota: dict[str, str] = field(default_factory=dict)
    # The server says of a full mailbox that it may have room later: 452 in place of 552.
    full_is_temporary: bool = False
    certificate: str = "right"
    refuse_login: list[str] = field(default_factory=list)


class MailStore:
    """A mail store in a folder. `start` may be called again after `stop`, with other options."""

    def __init__(self, folder: Path):
        self.dir = folder.resolve()
        self.ports_file = self.dir / "ports.json"
        self.ca = self.dir / "tls" / "ca.pem"

    @property
    def smtps_port(self) -> int:
        return json.loads(self.ports_file.read_text())["smtps_port"]

    @property
    def imaps_port(self) -> int:
        return json.loads(self.ports_file.read_text())["imaps_port"]

    def password(self, user: str) -> str:
        return json.loads((self.dir / "mail-passwords.json").read_text())[address(user)]

    def password_file(self, user: str) -> Path:
        return self.dir / "passwords" / user

    def start(self, options: Options | None = None) -> None:
        """Writes the configuration and starts both servers; returns when both accept connections."""
        options = options or Options()
        self._check_folder()
        self._make_folders()
        self._make_users(options)
        self._make_certificates(options.certificate)
        ports = self._choose_ports(options)
        self._write_configuration(ports, options)
        _run("dovecot", "-c", self.dir / "dovecot" / "dovecot.conf")
        _run("postfix", "-c", self.dir / "postfix", "start")
        self._wait_for(ports)
        self._grant_rights()

    def stop(self) -> None:
        """Stops both servers by the process ids in their own folders; fine when they do not run."""
        if self._master_pid(self.dir / "queue" / "pid" / "master.pid"):
            _run("postfix", "-c", self.dir / "postfix", "stop")
        dovecot = self._master_pid(self.dir / "run" / "master.pid")
        # An IMAP session that is just answering a command outlives its master and goes on serving.
        sessions = Ending(children(dovecot) if dovecot else [])
        if dovecot:
            _run("doveadm", "-c", self.dir / "dovecot" / "dovecot.conf", "stop")
        deadline = time.monotonic() + START_SECONDS_MAX
        while any(self.status().values()) and time.monotonic() < deadline:
            time.sleep(0.05)
        sessions.wait(SESSION_SECONDS_MAX)

    def status(self) -> dict[str, bool]:
        """Which of the two servers runs."""
        return {
            "postfix": self._master_pid(self.dir / "queue" / "pid" / "master.pid") is not None,
            "dovecot": self._master_pid(self.dir / "run" / "master.pid") is not None,
        }

    def wait_until_handed_over(self, seconds: float = 60) -> None:
        """Postfix has given Dovecot each mail that it took, or has put it off (qmgr(8)): an answer to the last dot says that it has them, no more."""
        deadline = time.monotonic() + seconds
        while any(self._has_taken(mail) for name in ("maildrop", "incoming", "active") for mail in (self.dir / "queue" / name).iterdir()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"Postfix still holds mails after {seconds:.0f} s\n{self.log_tail()}")
            time.sleep(0.05)

    @staticmethod
    def _has_taken(mail: Path) -> bool:
        """One whose last dot is still to come has a file of its own that may not be executed yet (cleanup(8))."""
        try:
            return bool(mail.stat().st_mode & stat.S_IXUSR)
        except FileNotFoundError:
            return False

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of both logs, for a failed test."""
        parts = []
        for name in ("postfix.log", "dovecot.log"):
            path = self.dir / "log" / name
            if path.exists():
                parts += [f"--- {path}", *path.read_text(errors="replace").splitlines()[-lines:]]
        return "\n".join(parts)

    def _check_folder(self) -> None:
        if os.geteuid() != 0:
            raise SystemExit("mailstore: Postfix starts only as root")
        if len(str(self.dir)) > DIR_CHARACTERS_MAX:
            raise SystemExit(f"mailstore: the folder's path is longer than {DIR_CHARACTERS_MAX} characters, too long for sockets in it")
        self.dir.mkdir(parents=True, exist_ok=True)
        self.dir.chmod(0o711)
        for folder in self.dir.parents:
            if not folder.stat().st_mode & 0o001:
                raise SystemExit(f"mailstore: {folder} is closed to the users postfix and mail; choose a folder they can reach")

    def _make_folders(self) -> None:
        for name, mode in (("postfix", 0o755), ("dovecot", 0o755), ("tls", 0o755), ("passwords", 0o700), ("log", 0o755),
                           ("queue", 0o755), ("data", 0o700), ("run", 0o755), ("mailboxes", 0o700)):
            folder = self.dir / name
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)
        shutil.chown(self.dir / "data", "postfix")
        shutil.chown(self.dir / "mailboxes", "mail", "mail")

    def _make_users(self, options: Options) -> None:
        passwords_file = self.dir / "mail-passwords.json"
        if not passwords_file.exists():
            passwords = {address(user): secrets.token_urlsafe(18) for user in USERS}
            openssl.write_secret(passwords_file, json.dumps(passwords, indent=2).encode() + b"\n")
        passwords = json.loads(passwords_file.read_text())
        for user in USERS:
            openssl.write_secret(self.password_file(user), passwords[address(user)].encode() + b"\n")
        quota = {address(user): storage for user, storage in options.quota.items()}
        lines = [_user_line(name, password, quota.get(name)) for name, password in passwords.items()]
        self._write_for_dovecot("users", "\n".join(lines) + "\n")
        self._write_for_dovecot("refused", "".join(f"{address(user)}:\n" for user in options.refuse_login))

    def _write_for_dovecot(self, name: str, text: str) -> None:
        path = self.dir / "dovecot" / name
        openssl.write_secret(path, text.encode())
        shutil.chown(path, "dovecot", "dovecot")

    def _make_certificates(self, kind: str) -> None:
        tls = self.dir / "tls"
        authority = (tls / "ca.key.pem", self.ca)
        if not self.ca.exists():
            openssl.new_authority(*authority, "Scanpost mail store CA")
        extensions = openssl.SERVER + openssl.LOCALHOST
        if kind == "wrong-ca":
            authority = (tls / "other-ca.key.pem", tls / "other-ca.pem")
            openssl.new_authority(*authority, "Another CA")
        elif kind == "wrong-name":
            extensions = openssl.SERVER + "subjectAltName=DNS:elsewhere.test\n"
        elif kind != "right":
            raise SystemExit(f"mailstore: no certificate of the kind {kind}")
        openssl.issue(authority, tls / "server.key.pem", tls / "server.cert.pem", "localhost", extensions)

    def _choose_ports(self, options: Options) -> dict[str, int]:
        known = json.loads(self.ports_file.read_text()) if self.ports_file.exists() else {}
        smtps = options.smtps_port or known.get("smtps_port") or free_port()
        imaps = options.imaps_port or known.get("imaps_port") or free_port({smtps})
        ports = {"smtps_port": smtps, "imaps_port": imaps}
        self.ports_file.write_text(json.dumps(ports, indent=2) + "\n")
        return ports

    def _write_configuration(self, ports: dict[str, int], options: Options) -> None:
        values = {
            "DIR": str(self.dir), "DOMAIN": DOMAIN, "QUOTA": options.quota_default,
            "FULL": "452 4.2.2" if options.full_is_temporary else "552 5.2.2",
            "SMTPS_PORT": str(ports["smtps_port"]), "IMAPS_PORT": str(ports["imaps_port"]),
            "MESSAGE_SIZE_LIMIT": str(options.message_size_limit),
        }
        for name, folder in (("main.cf", "postfix"), ("master.cf", "postfix"), ("dovecot.conf", "dovecot")):
            text = re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], (TEMPLATES / name).read_text())
            (self.dir / folder / name).write_text(text)
        maps = "".join(f"{address(user)} {address(user)}\n" for user in USERS)
        (self.dir / "postfix" / "mailboxes").write_text(maps)
        (self.dir / "postfix" / "senders").write_text(maps)

    def _wait_for(self, ports: dict[str, int]) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not all(is_listening(port) for port in ports.values()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the mail store does not answer\n{self.log_tail()}")
            time.sleep(0.05)

    def set_rights(self, doctor: str, *rights: str) -> None:
        """What the gateway's login may do in the doctor's folders."""
        configuration = self.dir / "dovecot" / "dovecot.conf"
        for folder in FOLDERS:
            _run("doveadm", "-c", configuration, "acl", "set", "-u", address(doctor), folder, f"user={address('gateway')}", *rights)

    def _grant_rights(self) -> None:
        for doctor in DOCTORS:
            self.set_rights(doctor, *GATEWAY_RIGHTS)

    @staticmethod
    def _master_pid(pid_file: Path) -> int | None:
        try:
            pid = int(pid_file.read_text())
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid


class StoreBehind(MailStore):
    """The store in a folder, as somebody sees it who reaches it by other ports."""

    def __init__(self, folder: Path, smtps_port: int | None = None, imaps_port: int | None = None):
        super().__init__(folder)
        self._smtps_port, self._imaps_port = smtps_port, imaps_port

    @property
    def smtps_port(self) -> int:
        return self._smtps_port or super().smtps_port

    @property
    def imaps_port(self) -> int:
        return self._imaps_port or super().imaps_port


def address(user: str) -> str:
    """The mail address of a user of this store, which is the login name too."""
    return user if "@" in user else f"{user}@{DOMAIN}"


def folder_seen_by_gateway(user: str) -> str:
    """The doctor's INBOX under the name that the gateway's own login sees."""
    return f"shared/{address(user)}/INBOX"


def _user_line(name: str, password: str, quota: str | None) -> str:
    # The passwords are 144 random bits, so a salted SHA-256 is enough and makes no login slow.
    salt = os.urandom(8)
    digest = base64.b64encode(hashlib.sha256(password.encode() + salt).digest() + salt).decode()
    extra = f"userdb_quota_rule=*:storage={quota}" if quota else ""
    return f"{name}:{{SSHA256}}{digest}::::::{extra}"


def _run(*command: object) -> None:
    # Output goes to a file, not to a pipe: the daemons inherit it, and a pipe would never end.
    with tempfile.TemporaryFile("w+") as output:
        result = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=60)
        if result.returncode != 0:
            output.seek(0)
            raise RuntimeError(f"{command[0]}: {output.read().strip()}")
