"""The doctor's reader: its configuration and `scanpost-reader pull`."""

import json
import subprocess
from pathlib import Path

from lab import mail_store
from lab.keys import Keys
from lab.mail_store import MailStore
from lab.programs import program

PULL_SECONDS_MAX = 900


class Reader:
    """The reader of one doctor, writing DICOM files into `output`."""

    def __init__(self, config: Path, output: Path, store: MailStore, keys: Keys, doctor: str = "doctor",
                 mailbox_lines: list[str] | None = None):
        self.config, self.output = config, output
        # Words in front of the command, for a program that runs it.
        self.prefix: list[str] = []
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(_configuration(output, store, keys, doctor, mailbox_lines or []))

    def pull(self, *arguments: str) -> subprocess.CompletedProcess:
        """Runs one pull to its end; the caller judges exit code and words."""
        command = [*self.prefix, program("scanpost-reader"), "pull", "--config", self.config, *arguments]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=PULL_SECONDS_MAX)

    def files(self) -> list[Path]:
        """All instances the reader wrote: `.dcm`, and `.bin` for a damaged data set that it gives back as it came."""
        return sorted(path for path in self.output.rglob("*") if path.suffix in (".dcm", ".bin"))


def _configuration(output: Path, store: MailStore, keys: Keys, doctor: str, mailbox_lines: list[str]) -> str:
    def quoted(value: object) -> str:
        return json.dumps(str(value), ensure_ascii=False)
    return "\n".join([
        f"output = {quoted(output)}",
        f"sites = [{quoted(keys.certificate('site'))}]",
        "[doctor]",
        f"key = {quoted(keys.key(doctor))}",
        f"certificate = {quoted(keys.certificate(doctor))}",
        "plain_keys = true",
        f"address = {quoted(mail_store.address(doctor))}",
        "[mailbox]",
        'host = "localhost"',
        f"port = {store.imaps_port}",
        f"user = {quoted(mail_store.address(doctor))}",
        f"password_file = {quoted(store.password_file(doctor))}",
        f"ca = {quoted(store.ca)}",
        *mailbox_lines,
        "",
    ])
