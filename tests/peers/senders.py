"""Other people's senders: DCMTK storescu and pynetdicom."""

import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pydicom
from pynetdicom import AE, _config
from pynetdicom.presentation import build_context

# The bytes of the file's data set go over the association as they are.
_config.STORE_SEND_CHUNKED_DATASET = True
CONTEXTS_MAX = 128  # PS3.8 9.3.2.2: odd ids from 1 to 255
SUCCESS = 0x0000
SEND_SECONDS_MAX = 600
CHECKPOINT_SECONDS_MAX = 10


def storescu(port: int, called: str, files: list[Path], *options: str, calling: str = "STORESCU") -> None:
    """DCMTK, without its wait of 40 ms an image (Nagle against delayed acknowledgement)."""
    command = ["storescu", "-aet", calling, "-aec", called, *options, "127.0.0.1", str(port), *map(str, files)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=SEND_SECONDS_MAX, env={**os.environ, "TCP_NODELAY": "1"})
    assert result.returncode == 0, f"storescu: {result.stdout[-2000:]}{result.stderr[-2000:]}"


def nonsense(port: int, content: bytes) -> None:
    """Bytes that are no association, until the other side hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        peer.sendall(content)
        peer.shutdown(socket.SHUT_WR)
        try:
            while peer.recv(4096):
                pass
        except ConnectionError:
            pass


class Checkpoint(threading.Event):
    """Where pynetdicom's reactor pauses while something is sent. One that is asked to in the moment it goes on would take the answer for itself: who asks
    waits here until it stands still."""

    def __init__(self):
        super().__init__()
        self.changed = threading.Condition()
        self.reactor: int | None = None
        self.stands = False
        self.set()

    def set(self) -> None:
        with self.changed:
            super().set()
            self.changed.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        with self.changed:
            self.reactor, self.stands = threading.get_ident(), True
            self.changed.notify_all()
            self.changed.wait_for(self.is_set, timeout)
            self.stands = False
            return self.is_set()

    def clear(self) -> None:
        with self.changed:
            super().clear()
            # The reactor may ask itself; at its end it sets.
            if threading.get_ident() != self.reactor:
                self.changed.wait_for(lambda: self.stands or self.is_set(), CHECKPOINT_SECONDS_MAX)


def pynetdicom(
    port: int, called: str, files: list[Path], calling: str = "PYNETDICOM", after_each: Callable[[int], None] = lambda sent: None,
    tls: ssl.SSLContext | None = None, answer_s: float = 30,
) -> list[Path]:
    """Sends each file in its own transfer syntax; gives back the files that were answered with success. `answer_s`: the longest wait for an answer, also of a
    peer that died."""
    stored: list[Path] = []
    for group in _groups_of_contexts(files):
        entity = AE(ae_title=calling)
        entity.dimse_timeout = answer_s
        entity.requested_contexts = [build_context(*kind) for kind in {_kind(path) for path in group}]
        association = entity.associate("127.0.0.1", port, ae_title=called, tls_args=(tls, "localhost") if tls else None)
        if not association.is_established:
            return stored
        association._reactor_checkpoint = Checkpoint()
        for path in group:
            try:
                status = association.send_c_store(path)
            except (RuntimeError, ValueError):  # The peer is gone, or does not take this kind of object.
                continue
            if status and status.Status == SUCCESS:
                stored.append(path)
                after_each(len(stored))
        association.release()
    return stored


def _kind(path: Path) -> tuple[str, str]:
    meta = pydicom.filereader.read_file_meta_info(path)
    return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)


def _groups_of_contexts(files: list[Path]) -> list[list[Path]]:
    groups: list[list[Path]] = [[]]
    kinds: set = set()
    for path in files:
        if len(kinds | {_kind(path)}) > CONTEXTS_MAX:
            groups.append([])
            kinds = set()
        kinds.add(_kind(path))
        groups[-1].append(path)
    return groups
