"""A whole site in one folder, as `deploy/demo --dir` lays it out: mail/ keys/ gateway/ pulled/ log/ and the PACS beside them."""

from pathlib import Path

from lab.gateway import Gateway, Settings
from lab.keys import Keys
from lab.mail_store import MailStore
from lab.orthanc import Orthanc
from lab.reader import Reader

DESTINATION = "DR_DEMO"
BUTTON = "scanpost"


class Site:
    """Mail store, PACS, gateway and one doctor's reader."""

    def __init__(self, folder: Path):
        self.dir = folder.resolve()
        self.dir.mkdir(parents=True, exist_ok=True)
        # Postfix and Dovecot reach their sockets below it as other users.
        self.dir.chmod(0o711)
        self.log = self.dir / "log"
        self.store = MailStore(self.dir / "mail")
        self.keys = Keys(self.dir / "keys")
        self.pacs = Orthanc(self.dir / "pacs", self.log / "orthanc.log")
        self.gateway: Gateway | None = None
        self.reader: Reader | None = None

    def start(self, settings: Settings) -> None:
        """Starts what listens first, so that each part finds its peers."""
        if not self.keys.ca.exists():
            self.keys.make()
        self.store.start()
        self.pacs.start()
        settings.pacs_port = self.pacs.dicom_port
        self.gateway = Gateway(self.dir / "gateway", self.log / "gateway.log", self.store, self.keys, settings).start()
        self.pacs.know_gateway(BUTTON, DESTINATION, self.gateway.port)
        # The gateway calls with its own AE title when it asks.
        self.pacs.know_gateway("gateway", "SCANPOST", self.gateway.port)
        self.reader = Reader(self.dir / "reader" / "reader.toml", self.dir / "pulled", self.store, self.keys)

    def stop(self) -> None:
        """Stops all, the last started first."""
        for part in (self.gateway, self.pacs, self.store):
            if part:
                part.stop()

    def logs(self) -> list[Path]:
        """Where to look when something failed."""
        return [self.log / "gateway.log", self.log / "orthanc.log", self.store.dir / "log" / "postfix.log",
                self.store.dir / "log" / "dovecot.log"]
