"""A sender's whole conversation, PDU by PDU, broken off wherever one likes and in any way a sender can be lost."""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from peers import raw_store
from peers.raw_store import (
    A_ABORT, A_ASSOCIATE_AC, A_RELEASE_RP, A_RELEASE_RQ, COMMAND_LAST, DATA_LAST, DATA_PART, EXPLICIT_LITTLE, P_DATA_TF, VALUE_HEADER_BYTES,
)
from peers.senders import SUCCESS

HEADER_BYTES = 6
ENDS = ("abort", "reset", "half-close", "silence")
# Of these, where the sender still hears what is said to it.
HEARING = ("half-close", "silence")
# Where a step that sends is cut: before its first byte, in the header of its PDU, in the middle of the PDU.
PLACES = ("before", "header", "middle")
END_SECONDS_MAX = 60


@dataclass(frozen=True)
class Step:
    """A PDU that is sent; or, without bytes, an answer of this kind that is waited for."""

    name: str
    sends: bytes = b""
    awaits: int | None = None


@dataclass(frozen=True)
class Cut:
    """The sender is lost at a step, so far on in it, in this way."""

    step: int
    place: str
    end: str

    def __str__(self) -> str:
        return f"{self.step}-{self.place}-{self.end}"


@dataclass
class Course:
    """What a broken conversation came to: positions of the objects answered with success, and what the other side ended it with."""

    acknowledged: list[int]
    ended_with: int | None = None


def steps(called: str, sop_class: str, objects: list[tuple[str, bytes]], pdu_bytes: int) -> list[Step]:
    """Association, a C-STORE for each object (its UID and data set), release; data sets in PDUs of so many bytes."""
    made = [Step("associate", raw_store.associate_request(called, "BROKEN", sop_class, EXPLICIT_LITTLE)), Step("accepted", awaits=A_ASSOCIATE_AC)]
    for message, (uid, data_set) in enumerate(objects, start=1):
        made.append(Step(f"command {message}", _value(raw_store.command_set(sop_class, uid, message), COMMAND_LAST)))
        parts = list(_parts(data_set, pdu_bytes - VALUE_HEADER_BYTES))
        made += [Step(f"data {message}", _value(part, DATA_LAST if number == len(parts) else DATA_PART)) for number, part in enumerate(parts, start=1)]
        made.append(Step(f"answer {message}", awaits=P_DATA_TF))
    return [*made, Step("release", raw_store.pdu(A_RELEASE_RQ, bytes(4))), Step("released", awaits=A_RELEASE_RP)]


def cuts(of: list[Step]) -> list[Cut]:
    """Every place of every step in every way."""
    return [Cut(index, place, end) for index, step in enumerate(of) for place in (PLACES if step.sends else PLACES[:1]) for end in ENDS]


def broken_off(port: int, of: list[Step], cut: Cut) -> Course:
    """Follows the steps as far as the cut and is lost there. Where the sender still listens, what the other side says until it hangs up counts too."""
    course = Course([])
    with socket.create_connection(("127.0.0.1", port), timeout=END_SECONDS_MAX) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for step in of[: cut.step]:
            if step.sends:
                peer.sendall(step.sends)
            else:
                _take(_read_pdu(peer), step, course)
        sends = of[cut.step].sends
        peer.sendall(sends[: {"before": 0, "header": HEADER_BYTES // 2, "middle": len(sends) // 2}[cut.place]])
        _end(peer, cut.end, course)
    return course


def _end(peer: socket.socket, end: str, course: Course) -> None:
    if end == "abort":
        peer.sendall(raw_store.pdu(A_ABORT, bytes(4)))
    elif end == "reset":
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    else:
        if end == "half-close":
            peer.shutdown(socket.SHUT_WR)
        while (pdu := _read_pdu(peer)) is not None:
            _take(pdu, None, course)


def _take(pdu: tuple[int, bytes] | None, step: Step | None, course: Course) -> None:
    kind, body = pdu or (None, b"")
    assert step is None or kind == step.awaits, f"{step.name}: PDU of type {kind}"
    if kind == P_DATA_TF and raw_store.status_of(body) == SUCCESS:
        course.acknowledged.append(len(course.acknowledged))
    if kind in (A_ABORT, A_RELEASE_RP):
        course.ended_with = kind


def _read_pdu(peer: socket.socket) -> tuple[int, bytes] | None:
    header = _read(peer, HEADER_BYTES)
    if header is None:
        return None
    kind, length = struct.unpack(">BxI", header)
    return kind, _read(peer, length) or b""


def _read(peer: socket.socket, count: int) -> bytes | None:
    """Nothing where the other side hung up."""
    content = b""
    while len(content) < count:
        part = peer.recv(count - len(content))
        if not part:
            return None
        content += part
    return content


def _parts(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def _value(data: bytes, control: int) -> bytes:
    return raw_store.pdu(P_DATA_TF, raw_store.value(data, control))
