"""A C-STORE sender that speaks PDUs itself, so that it can stream an object it never holds, and misbehave on purpose.

PS3.8 9.3 (PDUs), PS3.7 9.3.1 (C-STORE) and PS3.7 6.3 (command sets, always Implicit VR Little Endian).
"""

import socket
import struct
from collections.abc import Iterable, Iterator

A_ASSOCIATE_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, P_DATA_TF, A_RELEASE_RQ, A_RELEASE_RP, A_ABORT = range(1, 8)
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLEMENTATION_CLASS = "2.25.190146791048336571320480812473612376801"
CONTEXT_ID = 1
# Message control headers (PS3.8 E.2): a command or a data set, and whether more of it follows.
COMMAND_PART, COMMAND_LAST, DATA_PART, DATA_LAST = 1, 3, 0, 2
C_STORE_RQ = 0x0001
PDU_BYTES_MAX = 131072
# Length and message control header of a presentation data value (PS3.8 9.3.5.1).
VALUE_HEADER_BYTES = 6
ANSWER_SECONDS_MAX = 300


class Rejected(Exception):
    """A-ASSOCIATE-RJ; the three numbers are result, source and reason (PS3.8 9.3.4)."""

    def __init__(self, result: int, source: int, reason: int):
        super().__init__(f"rejected: result {result}, source {source}, reason {reason}")
        self.result, self.source, self.reason = result, source, reason


class Aborted(Exception):
    """The peer aborted or closed the connection; `reason` is that of its A-ABORT (PS3.8 9.3.8), none where it sent none."""

    def __init__(self, words: str, reason: int | None = None):
        super().__init__(words)
        self.reason = reason


class RawAssociation:
    """One association with one presentation context; with `request`, these bytes ask for it. It comes from `address`."""

    def __init__(
        self, port: int, called: str, sop_class: str, calling: str = "RAWSCU", transfer_syntax: str = EXPLICIT_LITTLE, request: bytes | None = None,
        address: str = "127.0.0.1",
    ):
        self.sop_class = sop_class
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS_MAX, source_address=(address, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(request or associate_request(called, calling, sop_class, transfer_syntax))
        kind, body = self._read_pdu()
        if kind == A_ASSOCIATE_RJ:
            raise Rejected(*body[1:4])
        if kind != A_ASSOCIATE_AC:
            raise _ended(kind, body, "an acceptance")
        self.is_accepted = _context_result(body) == 0
        self.pdu_bytes_max = min(PDU_BYTES_MAX, _their_pdu_bytes_max(body) or PDU_BYTES_MAX)

    def store(self, sop_instance: str, chunks: Iterable[bytes], message: int = 1) -> int:
        """Streams one data set and gives the status back (PS3.4 B.2.3)."""
        self.send_command(sop_instance, message)
        self.send_data(chunks)
        return self.read_status()

    def send_command(self, sop_instance: str, message: int = 1) -> None:
        self._send_value(command_set(self.sop_class, sop_instance, message), COMMAND_LAST)

    def send_data(self, chunks: Iterable[bytes], finish: bool = True) -> None:
        """Cuts the stream into PDUs. Without `finish` the last fragment is never marked as the last."""
        size = self.pdu_bytes_max - VALUE_HEADER_BYTES
        waiting = bytearray()
        for chunk in chunks:
            waiting += chunk
            while len(waiting) > size:
                self._send_value(bytes(waiting[:size]), DATA_PART)
                del waiting[:size]
        self._send_value(bytes(waiting), DATA_LAST if finish else DATA_PART)

    def read_status(self) -> int:
        kind, body = self._read_pdu()
        if kind != P_DATA_TF:
            raise _ended(kind, body, "an answer")
        return status_of(body)

    def release(self) -> None:
        self.socket.sendall(pdu(A_RELEASE_RQ, bytes(4)))
        self._read_pdu()
        self.socket.close()

    def abort(self) -> None:
        """A-ABORT in the middle of whatever is going on."""
        self.socket.sendall(pdu(A_ABORT, bytes(4)))
        self.socket.close()

    def vanish(self) -> None:
        """The cable is pulled: no abort, the connection is reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _send_value(self, data: bytes, control: int) -> None:
        self.socket.sendall(pdu(P_DATA_TF, value(data, control)))

    def _read_pdu(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxI", self._read(6))
        return kind, self._read(length)

    def _read(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            try:
                part = self.socket.recv(count - len(parts))
            except ConnectionError as error:
                raise Aborted("the connection was reset") from error
            if not part:
                raise Aborted("the connection was closed")
            parts += part
        return bytes(parts)


def _ended(kind: int, body: bytes, instead_of: str) -> Aborted:
    return Aborted(f"PDU of type {kind} instead of {instead_of}", body[3] if kind == A_ABORT else None)


def value(data: bytes, control: int, context: int = CONTEXT_ID, length: int | None = None) -> bytes:
    """A presentation data value (PS3.8 9.3.5.1)."""
    return struct.pack(">IBB", len(data) + 2 if length is None else length, context, control) + data


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def associate_request(called: str, calling: str, sop_class: str, transfer_syntax: str) -> bytes:
    """A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    context = struct.pack(">B3x", CONTEXT_ID) + _item(0x30, sop_class.encode()) + _item(0x40, transfer_syntax.encode())
    user = _item(0x51, struct.pack(">I", PDU_BYTES_MAX)) + _item(0x52, IMPLEMENTATION_CLASS.encode())
    fixed = struct.pack(">H2x16s16s32x", 1, called.encode().ljust(16), calling.encode().ljust(16))
    return pdu(A_ASSOCIATE_RQ, fixed + _item(0x10, APPLICATION_CONTEXT.encode()) + _item(0x20, context) + _item(0x50, user))


def command_set(sop_class: str, sop_instance: str, message: int) -> bytes:
    """C-STORE-RQ (PS3.7 9.3.1.1)."""
    elements = (
        _element(0x0002, _uid(sop_class)) + _element(0x0100, struct.pack("<H", C_STORE_RQ))
        + _element(0x0110, struct.pack("<H", message)) + _element(0x0700, struct.pack("<H", 0))
        + _element(0x0800, struct.pack("<H", 1)) + _element(0x1000, _uid(sop_instance))
    )
    return _element(0x0000, struct.pack("<I", len(elements))) + elements


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, element, len(value)) + value


def _uid(text: str) -> bytes:
    return text.encode() + (b"\0" if len(text) % 2 else b"")


def _items(acceptance: bytes) -> Iterator[tuple[int, bytes]]:
    """Variable items of an A-ASSOCIATE-AC (PS3.8 9.3.3)."""
    position = 68
    while position + 4 <= len(acceptance):
        kind, length = struct.unpack_from(">BxH", acceptance, position)
        yield kind, acceptance[position + 4 : position + 4 + length]
        position += 4 + length


def _context_result(acceptance: bytes) -> int | None:
    """Result of the one presentation context: 0 is acceptance (PS3.8 9.3.3.2)."""
    return next((item[2] for kind, item in _items(acceptance) if kind == 0x21), None)


def _their_pdu_bytes_max(acceptance: bytes) -> int:
    return next((_maximum_length(item) for kind, item in _items(acceptance) if kind == 0x50), 0)


def _maximum_length(user: bytes) -> int:
    position = 0
    while position + 4 <= len(user):
        kind, length = struct.unpack_from(">BxH", user, position)
        if kind == 0x51:
            return struct.unpack_from(">I", user, position + 4)[0]
        position += 4 + length
    return 0


def status_of(data: bytes) -> int:
    """Status (0000,0900) of an answer, the body of its P-DATA-TF."""
    command, position = data[VALUE_HEADER_BYTES:], 0
    while position + 8 <= len(command):
        _, element, length = struct.unpack_from("<HHI", command, position)
        if element == 0x0900:
            return struct.unpack_from("<H", command, position + 8)[0]
        position += 8 + length
    raise Aborted("an answer without a status")
