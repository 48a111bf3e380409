"""The technician's page of a gateway: its certificate, its configuration, its accounts."""

import base64
import hashlib
import hmac
import json
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from lab.keys import Keys
from lab.programs import program

HOLD = "SCANPOST"


@dataclass
class Account:
    """What a person signs in with."""

    name: str
    password: str
    secret: str | None = None

    def code(self, at: float | None = None) -> str:
        """The one-time code of now (RFC 6238)."""
        if self.secret is None:
            return ""
        key = base64.b32decode(self.secret + "=" * (-len(self.secret) % 8))
        digest = hmac.new(key, struct.pack(">Q", int(time.time() if at is None else at) // 30), hashlib.sha1).digest()
        offset = digest[-1] & 0xF
        return f"{(struct.unpack('>I', digest[offset : offset + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


def make_certificate(keys: Keys) -> None:
    """That of the page, as [lines] names it."""
    keys.make_server("page")


def lines(keys: Keys, port_file: Path, *more: str) -> list[str]:
    """The keys of `[page]`, as TOML."""
    return ['listen = "127.0.0.1:0"', f'port_file = "{port_file}"', f'certificate = "{keys.certificate("page")}"',
            f'key = "{keys.key("page")}"', *more]


def add_account(config: Path, name: str, role: str, *more: str) -> Account:
    """Makes an account by `scanpost-gateway account add`."""
    command = [program("scanpost-gateway"), "account", "add", name, "--role", role, "--json", "--config", config, *more]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if result.returncode != 0:
        raise RuntimeError(f"scanpost-gateway account add: {result.stderr.strip()}")
    made = json.loads(result.stdout)
    return Account(made["name"], made["password"], made["totp_secret"])
