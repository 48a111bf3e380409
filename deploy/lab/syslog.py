"""rsyslog as the hospital's syslog server: TLS on loopback (RFC 5425), every message a line of a file."""

import json
import time
from pathlib import Path

from lab import openssl
from lab.ports import free_port, is_listening
from lab.process import Child, log_tail

START_SECONDS_MAX = 20

CONFIGURATION = """\
global(workDirectory="{folder}" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off"
  defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{ca}"
  defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
template(name="raw" type="string" string="%rawmsg%\\n")
ruleset(name="audit") {{ action(type="omfile" file="{received}" template="raw" asyncWriting="off" flushOnTXEnd="on") }}
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="audit")
"""


class Syslog:
    """A server with keys of its own. `kill` and `start` again is a crash and a restart."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.received = folder / "received.log"
        self.log = folder / "rsyslog.log"
        self.port = 0
        self.child: Child | None = None

    def make(self) -> "Syslog":
        self.folder.mkdir(parents=True)
        authority = (self.folder / "ca.key.pem", self.ca)
        openssl.new_authority(*authority, "Syslog CA")
        key, certificate = self.folder / "key.pem", self.folder / "cert.pem"
        openssl.issue(authority, key, certificate, "localhost", openssl.SERVER + openssl.LOCALHOST)
        self.port = free_port()
        (self.folder / "rsyslog.conf").write_text(CONFIGURATION.format(
            folder=self.folder, ca=self.ca, certificate=certificate, key=key, received=self.received, port=self.port,
        ))
        return self

    def start(self) -> None:
        self.child = Child(
            ["rsyslogd", "-n", "-f", self.folder / "rsyslog.conf", "-i", self.folder / "rsyslogd.pid"], self.log,
        )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not is_listening(self.port):
            if time.monotonic() > deadline or not self.child.is_running():
                raise RuntimeError(f"rsyslogd does not start\n{log_tail(self.log)}")
            time.sleep(0.05)

    def kill(self) -> None:
        self.child.kill()
        (self.folder / "rsyslogd.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        if self.child and self.child.is_running():
            self.child.stop()

    def messages(self) -> list[str]:
        """What it has received, in the order of its file."""
        return self.received.read_text().splitlines() if self.received.exists() else []

    def settings(self) -> str:
        """The gateway's table for it."""
        return f'[audit.syslog]\nhost = "localhost"\nport = {self.port}\ntls.ca = {json.dumps(str(self.ca))}\n'
