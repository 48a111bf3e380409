"""A whole site in one folder, as `deploy/demo --dir` lays it out: mail/ keys/ gateway/ pulled/ log/ and the PACS beside them."""

import os
import shutil
from pathlib import Path

from lab import page
from lab.gateway import Gateway, Settings
from lab.keys import Keys
from lab.mail_store import MailStore
from lab.orthanc import Orthanc
from lab.portal import Portal
from lab.ports import free_port
from lab.reader import Reader

DESTINATION = "DR_DEMO"
BUTTON = "scanpost"
# Names the process that runs a site in a folder, and marks the folder as one that may be cleared.
MARK = "scanpost-demo.pid"
PARTS = ("gateway", "keys", "log", "mail", "pacs", "portal", "pulled", "reader", "study", "study-as-sent")


class Site:
    """Mail store, PACS, gateway, portal and one doctor's reader."""

    def __init__(self, folder: Path):
        self.dir = folder.resolve()
        self.dir.mkdir(parents=True, exist_ok=True)
        self._clear_earlier_run()
        # Postfix and Dovecot reach their sockets below it as other users.
        self.dir.chmod(0o711)
        self.log = self.dir / "log"
        self.store = MailStore(self.dir / "mail")
        self.keys = Keys(self.dir / "keys")
        self.pacs = Orthanc(self.dir / "pacs", self.log / "orthanc.log")
        self.gateway: Gateway | None = None
        self.reader: Reader | None = None
        self.portal: Portal | None = None
        self.phone: page.Account | None = None
        self.technician: page.Account | None = None
        self.page_port_file = self.dir / "gateway" / "page.port"

    def _clear_earlier_run(self) -> None:
        """A folder of an earlier run starts afresh; any other folder with something in it is left alone."""
        mark = self.dir / MARK
        if not mark.exists() and any(self.dir.iterdir()):
            raise SystemExit(f"{self.dir} is not empty, and not the folder of an earlier demo: choose another")
        if mark.exists():
            pid = int(mark.read_text() or 0)
            if pid and pid != os.getpid() and _is_python(pid):
                raise SystemExit(f"a demo still runs in {self.dir} (process {pid}): end it first")
            MailStore(self.dir / "mail").stop()
            for part in PARTS:
                shutil.rmtree(self.dir / part, ignore_errors=True)
        mark.write_text(str(os.getpid()))

    def start(self, settings: Settings) -> None:
        """Starts what listens first, so that each part finds its peers."""
        self.keys.make()
        page.make_certificate(self.keys)
        self.store.start()
        self.pacs.start()
        settings.pacs_port = self.pacs.dicom_port
        # Orthanc listens on every address of the machine.
        settings.check_lines.append(f'ports = ["{self.pacs.dicom_port}/tcp", "{self.pacs.http_port}/tcp"]')
        self.gateway = Gateway(self.dir / "gateway", self.log / "gateway.log", self.store, self.keys, settings).start()
        self.pacs.know_gateway(BUTTON, DESTINATION, self.gateway.port)
        # The gateway calls with its own AE title when it asks.
        self.pacs.know_gateway("gateway", "SCANPOST", self.gateway.port)
        if settings.page_lines:
            self.technician = page.add_account(self.gateway.config, "technician", "technician", "--no-totp")
        self.reader = Reader(self.dir / "reader" / "reader.toml", self.dir / "pulled", self.store, self.keys)
        if settings.page_lines:
            port = free_port({self.gateway.port, self.store.smtps_port, self.store.imaps_port})
            self.portal = Portal(self.dir / "portal", self.log / "portal.log", self.store, self.keys, port, mailboxes=("doctor",))
            self.phone = self.portal.add_account("doctor")
            self.portal.start()

    @property
    def technician_url(self) -> str:
        return f"https://localhost:{self.page_port_file.read_text().strip()}/"

    def stop(self) -> None:
        """Stops all, the last started first."""
        for part in (self.portal, self.gateway, self.pacs, self.store):
            if part:
                part.stop()

    def logs(self) -> list[Path]:
        """Where to look when something failed."""
        return [self.log / "gateway.log", self.log / "orthanc.log", self.log / "portal.log", self.store.dir / "log" / "postfix.log",
                self.store.dir / "log" / "dovecot.log"]


def _is_python(pid: int) -> bool:
    # A number may have been given to another program since.
    try:
        return "python" in Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return False
