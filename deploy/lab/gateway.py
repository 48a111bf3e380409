"""The gateway as a child process: its configuration, its start and end, and what `deliveries` says."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lab import mail_store, openssl
from lab.keys import SITE, Keys
from lab.mail_store import MailStore
from lab.orthanc import AE_TITLE as PACS_AE_TITLE
from lab.process import Child, log_tail, peak_memory_bytes
from lab.programs import program

OWN_AE_TITLE = "SCANPOST"
START_SECONDS_MAX = 20


@dataclass
class Settings:
    """What scenarios vary. Waits are milliseconds."""

    destinations: dict[str, list[str]] = field(default_factory=lambda: {"DR_DEMO": ["doctor"]})
    mailboxes: dict[str, str] = field(default_factory=dict)
    mail_programs: dict[str, list[str]] = field(default_factory=dict)  # doctors with kind = "smime": their other keys, as TOML
    pacs_port: int | None = None
    settle_ms: int = 500
    near: str = "0"  # as TOML: 0 compares byte by byte, "\"auto\"" within the bound that the manifest states
    residual: str = "never"
    ahead: bool = True
    silence_ms: int = 3_000
    poll_ms: int = 300
    cover_seen_ms: int = 5_000
    piece_bytes_max: int | None = None
    language: str = "ja"
    server_lines: list[str] = field(default_factory=list)  # more keys of [submit] and [pulled], as TOML
    submit_lines: list[str] = field(default_factory=list)  # more of [submit] alone
    dicom_lines: list[str] = field(default_factory=list)  # more keys of [dicom], as TOML
    dicom_tls_lines: list[str] = field(default_factory=list)  # all keys of [dicom.tls]
    without_certificate: tuple[str, ...] = ()  # doctors who are to enrol
    site_key_lines: list[str] = field(default_factory=list)  # how the site's key is kept, as keys of [seal]
    pacs_tls_lines: list[str] = field(default_factory=list)  # all keys of [pacs.orthanc.tls]
    doctor_lines: dict[str, list[str]] = field(default_factory=dict)  # more keys of [doctors.NAME]
    encryption: str = "on"
    hold: str | None = None  # AE title whose studies wait for a press
    page_lines: list[str] = field(default_factory=list)  # all keys of [page]
    escalate_after_s: int | None = None  # of [notify]
    check_lines: list[str] = field(default_factory=list)  # all keys of [check], as TOML
    channel_after_s: int | None = None


class Gateway:
    """A gateway with its state in a folder. `kill` and `start` again is a crash and a restart."""

    def __init__(self, folder: Path, log: Path, store: MailStore, keys: Keys, settings: Settings | None = None):
        self.folder, self.log, self.store, self.keys = folder, log, store, keys
        self.settings = settings or Settings()
        self.config = folder / "gateway.toml"
        self.state = folder / "state"
        self.port_file = folder / "dicom.port"
        self.spool_key = folder / "spool.key"
        self.child: Child | None = None
        self.port = 0
        # As docs/config.md has an operator start it.
        self.environment = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
        # Words in front of the command, for a program that runs it.
        self.prefix: list[str] = []
        # Tables that few scenarios need, as TOML.
        self.extra_configuration = ""
        # False where a scenario writes into the journal what no gateway does.
        self.replays = True

    def start(self) -> "Gateway":
        """Returns when the DICOM port is open. After the first start the port stays the same."""
        self.launch()
        return self.wait_until_open()

    def launch(self) -> None:
        """`start` without a wait: a gateway that is to take over from another opens its port when it does."""
        self.write_configuration()
        self.port_file.unlink(missing_ok=True)
        self.child = Child([*self.prefix, program("scanpost-gateway"), "serve", "--config", self.config], self.log, self.environment)

    def wait_until_open(self, seconds: float = START_SECONDS_MAX) -> "Gateway":
        deadline = time.monotonic() + seconds
        while not self._read_port():
            if time.monotonic() > deadline or not self.child.is_running():
                raise RuntimeError(f"the gateway does not start\n{log_tail(self.log)}")
            time.sleep(0.02)
        return self

    def write_configuration(self) -> None:
        """For commands that need no running gateway; `start` does it too."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_spool_key()
        self.config.write_text(self._configuration())

    def stop(self) -> int:
        return self.child.stop() if self.child and self.child.is_running() else 0

    def kill(self) -> None:
        self.child.kill()

    def replay(self) -> None:
        """Asks whether what the journal says of each delivery is a path of the queue's model (docs/reliability.md)."""
        journal = self.state / "journal.sqlite"
        if not self.replays or not journal.exists():
            return
        command = [program("scanpost-gateway"), "simulate", "--replay", journal]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if result.returncode != 0:
            raise AssertionError(f"the journal tells what the queue's rules do not allow\n{result.stdout}{result.stderr}")

    def deliveries(self) -> list[dict]:
        """What the operator sees, by `scanpost-gateway deliveries --json`."""
        command = [program("scanpost-gateway"), "deliveries", "--config", self.config, "--json"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if result.returncode != 0:
            raise RuntimeError(f"scanpost-gateway deliveries: {result.stderr.strip()}")
        report = json.loads(result.stdout)
        return report["deliveries"] if isinstance(report, dict) else report

    def wait_for(self, what: str, condition: Callable[[list[dict]], object], seconds: float = 60) -> list[dict]:
        """Polls `deliveries` until the condition holds; the error shows where things stand."""
        deadline = time.monotonic() + seconds
        while True:
            deliveries = self.deliveries()
            if condition(deliveries):
                return deliveries
            if not self.child.is_running():
                raise AssertionError(f"waited for {what}, but the gateway ended\n{log_tail(self.log)}")
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds:.0f} s for {what}\n{json.dumps(deliveries, indent=1)}\n{log_tail(self.log)}")
            time.sleep(0.1)

    def wait_for_state(self, *states: str, count: int = 1, seconds: float = 60) -> list[dict]:
        """Waits until `count` deliveries exist and all are in one of the states."""
        def reached(deliveries: list[dict]) -> bool:
            return len(deliveries) >= count and all(delivery["state"] in states for delivery in deliveries)
        return self.wait_for(f"{count} deliveries {' or '.join(states)}", reached, seconds)

    def peak_memory_bytes(self) -> int:
        return peak_memory_bytes(self.child.pid)

    def _make_spool_key(self) -> None:
        if not self.spool_key.exists():
            openssl.write_secret(self.spool_key, os.urandom(32))

    def _read_port(self) -> int:
        text = self.port_file.read_text().strip() if self.port_file.exists() else ""
        self.port = int(text or 0)
        return self.port

    def _configuration(self) -> str:
        settings, store, keys = self.settings, self.store, self.keys
        lines = [
            f"site = {_quoted(SITE)}",
            f"state = {_quoted(self.state)}",
            "[spool]",
            f"encryption = {_quoted(settings.encryption)}",
            f"key_file = {_quoted(self.spool_key)}",
            "[dicom]",
            f"listen = {_quoted(f'127.0.0.1:{self.port}')}",
            f"port_file = {_quoted(self.port_file)}",
            f"settle_ms = {settings.settle_ms}",
            f"silence_ms = {settings.silence_ms}",
            *([f"hold = {_quoted(settings.hold)}"] if settings.hold else []),
            *settings.dicom_lines,
            *(["[dicom.tls]", *settings.dicom_tls_lines] if settings.dicom_tls_lines else []),
            *(["[page]", *settings.page_lines] if settings.page_lines else []),
            *(["[check]", *settings.check_lines] if settings.check_lines else []),
            "[compress]",
            f"near = {settings.near}",
            f"residual = {_quoted(settings.residual)}",
            f"ahead = {str(settings.ahead).lower()}",
            "[seal]",
            f"key = {_quoted(keys.key('site'))}",
            f"certificate = {_quoted(keys.certificate('site'))}",
            # openssl and whoever looks around in the lab open these keys.
            *(settings.site_key_lines or ["plain_keys = true"]),
            *([f"piece_bytes_max = {settings.piece_bytes_max}"] if settings.piece_bytes_max else []),
            "[submit]",
            *self._server(store.smtps_port),
            *settings.submit_lines,
            "[notify]",
            f"cover_seen_ms = {settings.cover_seen_ms}",
            *([f"escalate_after_s = {settings.escalate_after_s}"] if settings.escalate_after_s else []),
            *([f"channel_after_s = {settings.channel_after_s}"] if settings.channel_after_s else []),
            "[pulled]",
            *self._server(store.imaps_port),
            f"poll_ms = {settings.poll_ms}",
        ]
        if settings.pacs_port:
            lines += ["[pacs.orthanc]", f"ae_title = {_quoted(PACS_AE_TITLE)}",
                      f"address = {_quoted(f'127.0.0.1:{settings.pacs_port}')}", f"own_ae_title = {_quoted(OWN_AE_TITLE)}"]
            if settings.pacs_tls_lines:
                lines += ["[pacs.orthanc.tls]", *settings.pacs_tls_lines]
        for doctor in sorted({name for names in settings.destinations.values() for name in names}):
            lines += self._doctor(doctor)
        for ae_title, doctors in settings.destinations.items():
            lines += [f"[destinations.{ae_title}]", f"doctors = {json.dumps(doctors)}"]
        return "\n".join(lines) + "\n" + self.extra_configuration

    def _server(self, port: int) -> list[str]:
        return ['host = "localhost"', f"port = {port}", f"user = {_quoted(mail_store.address('gateway'))}",
                f"password_file = {_quoted(self.store.password_file('gateway'))}", f"ca = {_quoted(self.store.ca)}",
                *self.settings.server_lines]

    def _doctor(self, doctor: str) -> list[str]:
        mailbox = self.settings.mailboxes.get(doctor, mail_store.address(doctor))
        if doctor in self.settings.mail_programs:
            return [f"[doctors.{doctor}]", 'kind = "smime"', f"mailbox = {_quoted(mailbox)}", f"language = {_quoted(self.settings.language)}",
                    *self.settings.mail_programs[doctor]]
        return [f"[doctors.{doctor}]", f"mailbox = {_quoted(mailbox)}",
                f"folder = {_quoted(mail_store.folder_seen_by_gateway(doctor))}",
                *([] if doctor in self.settings.without_certificate else [f"certificate = {_quoted(self.keys.certificate(doctor))}"]),
                f"phone = {_quoted(mail_store.address('phone'))}", f"language = {_quoted(self.settings.language)}",
                *self.settings.doctor_lines.get(doctor, [])]


def _quoted(value: object) -> str:
    # A JSON string is a TOML basic string.
    return json.dumps(str(value), ensure_ascii=False)
