"""PACS of other makers: DCMTK's dcmqrscp with several AE titles, and an archive by pynetdicom that does whatever a test wants."""

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import PatientRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelFind

from lab.ports import free_port, is_listening
from lab.process import Child

START_SECONDS_MAX = 30


class Dcmqrscp:
    """DCMTK's archive. Each AE title has images of its own."""

    def __init__(self, folder: Path, log: Path, ae_titles: list[str]):
        self.folder, self.log, self.ae_titles = folder, log, ae_titles
        self.port = free_port()
        self.child: Child | None = None

    def start(self) -> None:
        areas = []
        for ae_title in self.ae_titles:
            (self.folder / ae_title).mkdir(parents=True)
            areas.append(f"{ae_title} {self.folder / ae_title} RW (200, 1024mb) ANY")
        configuration = self.folder / "dcmqrscp.cfg"
        configuration.write_text("\n".join([
            f"NetworkTCPPort = {self.port}", "MaxPDUSize = 16384", "MaxAssociations = 16", "HostTable BEGIN", "HostTable END",
            "VendorTable BEGIN", "VendorTable END", "AETable BEGIN", *areas, "AETable END"]) + "\n")
        self.child = Child(["dcmqrscp", "-c", configuration], self.log)
        deadline = time.monotonic() + START_SECONDS_MAX
        while not is_listening(self.port):
            assert time.monotonic() < deadline, "dcmqrscp does not listen"
            time.sleep(0.05)

    def add(self, ae_title: str, files: list[Path]) -> None:
        command = ["storescu", "-aec", ae_title, "-R", "127.0.0.1", str(self.port), *map(str, files)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)

    def stop(self) -> None:
        if self.child:
            self.child.stop()


class Teller:
    """A PACS of which `answers` gives the answers to each C-FIND: identifiers, as long as somebody listens."""

    def __init__(self, answers: Callable[[Dataset], object]):
        self.answers = answers
        self.asked: list[Dataset] = []
        self.cancelled = False
        self.told = 0
        entity = AE(ae_title="TELLER")
        for model in (StudyRootQueryRetrieveInformationModelFind, PatientRootQueryRetrieveInformationModelFind):
            entity.add_supported_context(model, ImplicitVRLittleEndian)
        self.port = free_port()
        self.server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_FIND, self._find)])

    def _find(self, event: evt.Event):
        self.asked.append(event.identifier)
        for answer in self.answers(event.identifier):
            if event.is_cancelled:
                self.cancelled = True
                yield 0xFE00, None
                return
            self.told += 1
            # Its own thread must get to read what comes meanwhile.
            time.sleep(0.0005)
            yield 0xFF00, answer

    def stop(self) -> None:
        self.server.shutdown()


def tls_front(port: int, certificate: Path, key: Path) -> tuple[socket.socket, int]:
    """TLS in front of a plain server, as a reverse proxy is in front of many a PACS: Debian's Orthanc speaks none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        try:
            while content := source.recv(65536):
                sink.sendall(content)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) as secure, socket.create_connection(("127.0.0.1", port)) as plain:
                back = threading.Thread(target=pass_on, args=(plain, secure), daemon=True)
                back.start()
                pass_on(secure, plain)
                back.join()
        except OSError:
            connection.close()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener, listener.getsockname()[1]


def web_server(answer: bytes) -> tuple[socket.socket, int]:
    """A listener whose every connection gets this HTTP answer, after a request came, and is closed."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                try:
                    connection.sendall(answer)
                except OSError:
                    pass

    threading.Thread(target=serve, daemon=True).start()
    return listener, listener.getsockname()[1]
