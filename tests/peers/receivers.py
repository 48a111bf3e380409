"""Other people's storage: DCMTK's storescp, and pynetdicom with answers that a test chooses."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pydicom
from lab.ports import free_port
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import ALL_TRANSFER_SYNTAXES, AE, AllStoragePresentationContexts, evt

SUCCESS = 0x0000
AE_TITLE = "WORKSTATION"
START_SECONDS_MAX = 20
UNCOMPRESSED = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


class Receiver:
    """A workstation by pynetdicom. `answer` is asked for the status of each object by its number from 1; none: the association is aborted in its place."""

    def __init__(self, refused: set[str] | None = None, answer: Callable[[int], int | None] = lambda number: SUCCESS):
        self.stored: list[pydicom.Dataset] = []
        self.asked = 0
        self.associations = 0
        self.answer = answer
        entity = AE(ae_title=AE_TITLE)
        entity.require_called_aet = True
        for context in AllStoragePresentationContexts:
            if context.abstract_syntax not in (refused or set()):
                entity.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_ESTABLISHED, self._established)]
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self.server.socket.getsockname()[1]

    @property
    def target(self) -> str:
        return f"{AE_TITLE}@127.0.0.1:{self.port}"

    def uids(self) -> list[str]:
        return [str(dataset.SOPInstanceUID) for dataset in self.stored]

    def stop(self) -> None:
        self.server.shutdown()

    def _established(self, _: evt.Event) -> None:
        self.associations += 1

    def _store(self, event: evt.Event) -> int:
        self.asked += 1
        status = self.answer(self.asked)
        if status is None:
            event.assoc.abort()
            return SUCCESS
        if status == SUCCESS or status >> 12 == 0xB:
            dataset = event.dataset
            dataset.file_meta = event.file_meta
            self.stored.append(dataset)
        return status


class Storescp:
    """DCMTK's receiver, writing what it is sent as it came."""

    def __init__(self, folder: Path, *options: str):
        folder.mkdir(parents=True)
        self.folder, self.port = folder, free_port()
        command = ["storescp", "-aet", AE_TITLE, "-od", str(folder), "+B", "--promiscuous", *options, str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, env={**os.environ, "TCP_NODELAY": "1"})
        deadline = time.monotonic() + START_SECONDS_MAX
        while f":{self.port:04X} 00000000:0000 0A" not in Path("/proc/net/tcp").read_text():
            assert time.monotonic() < deadline and self.process.poll() is None, "storescp does not listen"
            time.sleep(0.05)

    @property
    def target(self) -> str:
        return f"{AE_TITLE}@127.0.0.1:{self.port}"

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.is_file())

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def class_of(path: Path) -> UID:
    return pydicom.filereader.read_file_meta_info(path).MediaStorageSOPClassUID
