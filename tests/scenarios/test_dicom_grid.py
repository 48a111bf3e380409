"""Senders that break off anywhere, lie about lengths, come by the thousand or send thousands of images: what was acknowledged arrives once, the next
sender is served, and memory stays small."""

import os
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from lab.study import ct
from peers import conversation, raw_store, senders, tiny
from peers.conversation import HEARING, Cut
from peers.raw_store import (
    A_ABORT, A_ASSOCIATE_RQ, A_RELEASE_RP, A_RELEASE_RQ, COMMAND_LAST, COMMAND_PART, DATA_LAST, EXPLICIT_LITTLE, P_DATA_TF, Aborted, RawAssociation,
    Rejected, associate_request, command_set, pdu, value,
)

import harness
from harness import Bench, wait_until
from test_memory import LIMIT_BYTES

DESTINATION = "DR_DEMO"
CLASS = ct.CT_IMAGE_STORAGE
VERIFICATION = "1.2.840.10008.1.1"
IDLE_MS = 1_500
SETTINGS = dict(settle_ms=200, silence_ms=2_000, poll_ms=150, cover_seen_ms=2_000, dicom_lines=[f"idle_ms = {IDLE_MS}"])
PDU_BYTES = 1024
# Of the grid of cuts every n-th stands for all at each run: an odd number, so that all four ways are among them.
CUTS_EVERY = 7
CUTS_AT_ONCE = 8
CONNECTIONS, CONNECTIONS_LONG = 200, 1_000
CROWD_ADDRESS = "127.0.0.9"
GOOD_SENDERS, IMAGES_EACH = 6, 3
SLICES, SLICES_LONG = 1_000, 10_000
SENDERS_OF_SLICES = 8
SECONDS_MAX = 120


@pytest.fixture
def grid(bench: Bench) -> Bench:
    bench.start(**SETTINGS)
    return bench


def must_be_served(port: int) -> None:
    """Somebody who comes now gets an association, within what a sender waits."""
    RawAssociation(port, DESTINATION, CLASS).release()


def descriptors(bench: Bench) -> int:
    return len(os.listdir(f"/proc/{bench.gateway.child.pid}/fd"))


def test_a_sender_is_lost_at_each_step(grid: Bench, tmp_path: Path, is_long: bool):
    """Association, two images, release; lost before, in the header and in the middle of each PDU, in four ways."""
    objects = tiny.generate(tmp_path / "measured", 2, seed=1)
    whole = conversation.cuts(steps_of(objects))
    cuts = whole if is_long else whole[::CUTS_EVERY]
    sent: dict[Cut, list[Path]] = {}
    for number, end in enumerate(conversation.ENDS):
        own = [cut for cut in cuts if cut.end == end]
        images = tiny.generate(tmp_path / end, 2 * len(own), seed=2 + number)
        sent |= {cut: images[2 * index : 2 * index + 2] for index, cut in enumerate(own)}
    before = descriptors(grid)

    def run(cut: Cut) -> list[Path]:
        course = conversation.broken_off(grid.port, steps_of(sent[cut]), cut)
        must_be_served(grid.port)
        # A sender that falls silent is told so (PS3.8 9.1.5), one that released is let go; one whose direction is closed is gone.
        has_released = cut.step == len(steps_of(sent[cut])) - 1
        told = A_RELEASE_RP if has_released and cut.end in HEARING else A_ABORT if cut.end == "silence" else None
        assert course.ended_with == told, cut
        return [sent[cut][position] for position in course.acknowledged]

    with ThreadPoolExecutor(CUTS_AT_ONCE) as pool:
        acknowledged = [path for paths in pool.map(run, cuts) for path in paths]
    assert acknowledged, "nothing was acknowledged, so nothing can be shown to be kept"
    received = grid.gateway.folder / "state" / "spool" / "receive"
    wait_until("halves to be gone", lambda: not list(received.glob("*.part")), 10 * IDLE_MS / 1000)
    grid.wait_for_instances(len(acknowledged))
    grid.pull()
    known = {harness.data_set_digest(path): path for paths in sent.values() for path in paths}
    pulled = Counter(map(harness.data_set_digest, grid.reader.files()))
    assert set(pulled) <= set(known), "something arrived that nobody sent whole"
    assert set(map(harness.data_set_digest, acknowledged)) <= set(pulled), "an acknowledged image is lost"
    assert set(pulled.values()) <= {1}
    # Their senders come again with both images, as a PACS does.
    everything = [path for paths in sent.values() for path in paths]
    assert senders.pynetdicom(grid.port, DESTINATION, everything) == everything
    grid.wait_for_instances(len(everything))
    grid.pull()
    harness.assert_equal_bytes(everything, grid.reader.files())
    assert not list(received.glob("*.part"))
    wait_until("descriptors as before", lambda: descriptors(grid) <= before + 4, SECONDS_MAX)
    assert grid.gateway.peak_memory_bytes() < LIMIT_BYTES
    print(f"\nsenders lost at {len(cuts)} of {len(whole)} points: {len(acknowledged)} images acknowledged, {sum(pulled.values())} recorded of {len(everything)}; all once at the doctor")


def steps_of(images: list[Path]) -> list[conversation.Step]:
    return conversation.steps(DESTINATION, CLASS, [(harness.uid_of(path), harness.data_set_bytes(path)) for path in images], PDU_BYTES)


# Reasons of an A-ABORT by the service provider (PS3.8 9.3.8).
UNRECOGNIZED_PDU, UNEXPECTED_PDU, UNEXPECTED_PARAMETER, INVALID_PARAMETER = 1, 2, 5, 6
ENDLESS = 0xFFFF_FFFF
PIXELS = b"\xe0\x7f\x10\x00OW\x00\x00"


@dataclass(frozen=True)
class Said:
    """How a peer was answered: aborted with this reason, rejected with these three numbers, or a status of C-STORE."""

    aborted: int | None = None
    rejected: tuple[int, int, int] | None = None
    status: int | None = None


def raw(port: int, *parts: bytes) -> None:
    """Bytes instead of a request for an association; how the other side ends it is raised."""
    RawAssociation(port, DESTINATION, CLASS, request=b"".join(parts))


def on(port: int, *parts: bytes, sop_class: str = CLASS, syntax: str = EXPLICIT_LITTLE) -> int:
    """Bytes on an association, and the status that comes back."""
    association = RawAssociation(port, DESTINATION, sop_class, transfer_syntax=syntax)
    association.socket.sendall(b"".join(parts))
    return association.read_status()


def stored(port: int, data_set: bytes, uid: str, sop_class: str = CLASS, syntax: str = EXPLICIT_LITTLE) -> int:
    association = RawAssociation(port, DESTINATION, sop_class, transfer_syntax=syntax)
    assert association.is_accepted
    status = association.store(uid, [data_set])
    association.release()
    return status


def fields(sop_class: str = CLASS, uid: str = "2.25.1", field: int = raw_store.C_STORE_RQ, data_set_type: int = 1, group_length: int | None = None) -> bytes:
    """A command set of which single fields are wrong."""
    right = command_set(sop_class, uid, 1)
    right = right.replace(b"\x00\x00\x00\x01\x02\x00\x00\x00\x01\x00", b"\x00\x00\x00\x01\x02\x00\x00\x00" + struct.pack("<H", field))
    right = right.replace(b"\x00\x00\x00\x08\x02\x00\x00\x00\x01\x00", b"\x00\x00\x00\x08\x02\x00\x00\x00" + struct.pack("<H", data_set_type))
    return right if group_length is None else right[:8] + struct.pack("<I", group_length) + right[12:]


def command_pdu(command: bytes, control: int = COMMAND_LAST) -> bytes:
    return pdu(P_DATA_TF, value(command, control))


def request(called: str = DESTINATION, calling: str = "RAWSCU", version: int = 1, application: str | None = None) -> bytes:
    asked = bytearray(associate_request(called, calling, CLASS, EXPLICIT_LITTLE))
    asked[6:8] = struct.pack(">H", version)
    return bytes(asked) if application is None else bytes(asked).replace(raw_store.APPLICATION_CONTEXT.encode(), application.encode())


def refused_context(port: int, sop_class: str) -> int:
    association = RawAssociation(port, DESTINATION, sop_class)
    assert not association.is_accepted, sop_class
    return association.store("2.25.1", [bytes(100)])


OBJECT = pdu(P_DATA_TF, value(bytes(100), DATA_LAST))
LIES: dict[str, tuple[Callable[[int], int | None], Said]] = {
    # Associations.
    "unknown called AE title": (lambda port: raw(port, request(called="NOBODY")), Said(rejected=(1, 1, 7))),
    "empty calling AE title": (lambda port: raw(port, request(calling=" ")), Said(rejected=(1, 1, 3))),
    "unknown protocol version": (lambda port: raw(port, request(version=2)), Said(rejected=(1, 2, 2))),
    "another application context": (lambda port: raw(port, request(application="1.2.840.10008.3.1.1.9")), Said(rejected=(1, 1, 2))),
    "endless request": (lambda port: raw(port, struct.pack(">BxI", A_ASSOCIATE_RQ, ENDLESS), bytes(64)), Said(aborted=UNRECOGNIZED_PDU)),
    "request whose items are longer than it": (lambda port: raw(port, pdu(A_ASSOCIATE_RQ, request()[6:-20])), Said(aborted=INVALID_PARAMETER)),
    "data before an association": (lambda port: raw(port, OBJECT), Said(aborted=UNEXPECTED_PDU)),
    "unknown SOP class of the standard": (lambda port: refused_context(port, "1.2.840.10008.99.1"), Said(aborted=UNEXPECTED_PARAMETER)),
    "a service instead of storage": (lambda port: refused_context(port, "1.2.840.10008.1.20.1"), Said(aborted=UNEXPECTED_PARAMETER)),
    # PDUs.
    "endless P-DATA-TF": (lambda port: on(port, struct.pack(">BxI", P_DATA_TF, ENDLESS), bytes(64)), Said(aborted=INVALID_PARAMETER)),
    "P-DATA-TF of one byte too many": (lambda port: on(port, struct.pack(">BxI", P_DATA_TF, raw_store.PDU_BYTES_MAX + 1)), Said(aborted=INVALID_PARAMETER)),
    "P-DATA-TF of which half comes": (lambda port: on(port, command_pdu(fields()), OBJECT[:50]), Said(aborted=0)),
    "long release": (lambda port: on(port, struct.pack(">BxI", A_RELEASE_RQ, 1 << 20)), Said(aborted=INVALID_PARAMETER)),
    "unknown PDU type": (lambda port: on(port, pdu(0x99, bytes(4))), Said(aborted=UNRECOGNIZED_PDU)),
    "second association request": (lambda port: on(port, request()), Said(aborted=UNEXPECTED_PDU)),
    "release in the middle of an object": (lambda port: on(port, command_pdu(fields()), pdu(A_RELEASE_RQ, bytes(4))), Said(aborted=UNEXPECTED_PDU)),
    # Presentation data values.
    "value longer than its PDU": (lambda port: on(port, pdu(P_DATA_TF, value(fields(), COMMAND_LAST, length=ENDLESS))), Said(aborted=UNEXPECTED_PARAMETER)),
    "value shorter than its header": (lambda port: on(port, pdu(P_DATA_TF, value(fields(), COMMAND_LAST, length=1))), Said(aborted=UNEXPECTED_PARAMETER)),
    "value of a context that was not proposed": (lambda port: on(port, pdu(P_DATA_TF, value(fields(), COMMAND_LAST, context=3))), Said(aborted=UNEXPECTED_PARAMETER)),
    "interleaved contexts": (lambda port: on(port, command_pdu(fields()[:20], COMMAND_PART), pdu(P_DATA_TF, value(b"", COMMAND_LAST, context=3))), Said(aborted=UNEXPECTED_PARAMETER)),
    "data without a command": (lambda port: on(port, OBJECT), Said(aborted=UNEXPECTED_PARAMETER)),
    "a flood of empty fragments": (lambda port: on(port, command_pdu(b"", COMMAND_PART) * 100), Said(aborted=UNEXPECTED_PARAMETER)),
    # Command sets.
    "endless command set": (lambda port: on(port, command_pdu(bytes(60_000), COMMAND_PART) * 2), Said(aborted=UNEXPECTED_PARAMETER)),
    "element longer than its command set": (lambda port: on(port, command_pdu(fields()[:-30])), Said(aborted=UNEXPECTED_PARAMETER)),
    "command set of noise": (lambda port: on(port, command_pdu(b"\xff" * 200)), Said(aborted=UNEXPECTED_PARAMETER)),
    "a response that nobody asked for": (lambda port: on(port, command_pdu(fields(field=0x8001, data_set_type=0x0101))), Said(aborted=UNEXPECTED_PDU)),
    "command group length that lies": (lambda port: on(port, command_pdu(fields(uid="2.25.70", group_length=ENDLESS)), OBJECT), Said(status=0x0000)),
    "SOP instance that is no UID": (lambda port: on(port, command_pdu(fields(uid="../../etc/passwd")), OBJECT), Said(status=0x0117)),
    "storage class on a context of Verification": (lambda port: on(port, command_pdu(fields()), OBJECT, sop_class=VERIFICATION), Said(status=0x0122)),
    "unknown command": (lambda port: on(port, command_pdu(fields(field=0x0130)), OBJECT), Said(status=0x0211)),
    "store without data set": (lambda port: on(port, command_pdu(fields(data_set_type=0x0101))), Said(status=0xC000)),
}


def test_every_lie_is_answered_as_the_conformance_statement_says(grid: Bench, ct_study: list[Path]):
    wrong = {}
    for name, (lie, expected) in LIES.items():
        said = how_answered(lie, grid.port)
        if said != expected:
            wrong[name] = said
        must_be_served(grid.port)
    assert not wrong
    assert senders.pynetdicom(grid.port, DESTINATION, ct_study) == ct_study
    grid.wait_for_instances(len(ct_study) + 1)
    grid.pull()
    accepted = [bytes(100), *map(harness.data_set_bytes, ct_study)]
    assert Counter(map(harness.data_set_bytes, grid.reader.files())) == Counter(accepted)
    peak = grid.gateway.peak_memory_bytes()
    print(f"\n{len(LIES)} lies answered as written down, peak of the gateway {peak / 1e6:.0f} MB")
    assert peak < LIMIT_BYTES


def how_answered(lie: Callable[[int], int | None], port: int) -> Said:
    try:
        return Said(status=lie(port))
    except Aborted as aborted:
        return Said(aborted=aborted.reason)
    except Rejected as rejected:
        return Said(rejected=(rejected.result, rejected.source, rejected.reason))


def data_sets() -> dict[str, tuple[bytes, str, str]]:
    """Data sets that are odd or lie, with SOP class and transfer syntax: each is kept byte for byte."""
    head = b"\x08\x00\x16\x00UI" + struct.pack("<H", len(CLASS) + 1) + CLASS.encode() + b"\0"
    nested = b"\x40\x00\x30\xa7SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5_000
    un_sequence = Path(get_testdata_file("UN_sequence.dcm")).read_bytes()
    implicit = "1.2.840.10008.1.2"
    return {
        "element longer than the object": (head + PIXELS + struct.pack("<I", 0xFFFF_FFF0) + bytes(64), CLASS, EXPLICIT_LITTLE),
        "element of undefined length without an end": (head + PIXELS + struct.pack("<I", ENDLESS) + bytes(64), CLASS, EXPLICIT_LITTLE),
        "text longer than the object": (b"\x10\x00\x10\x00PN\xff\xff" + bytes(20), CLASS, EXPLICIT_LITTLE),
        "sequences 5,000 deep": (head + nested, CLASS, EXPLICIT_LITTLE),
        "UN sequence of pydicom": (un_sequence[132:], CLASS, implicit),
        "no pixel data": (head, CLASS, EXPLICIT_LITTLE),
        "no byte": (b"", CLASS, EXPLICIT_LITTLE),
        "a file with preamble and meta group": (un_sequence, CLASS, EXPLICIT_LITTLE),
        "explicit, called implicit": (head + PIXELS + struct.pack("<I", 4) + bytes(4), CLASS, implicit),
        "implicit, called explicit": (b"\x08\x00\x16\x00" + struct.pack("<I", 4) + b"1.2\0", CLASS, EXPLICIT_LITTLE),
        "big endian": (b"\x00\x08\x00\x16UI\x00\x041.2\0", CLASS, "1.2.840.10008.1.2.2"),
        "deflated, and is not": (head, CLASS, "1.2.840.10008.1.2.1.99"),
        "JPEG 2000 without a codestream": (head + PIXELS + struct.pack("<I", 4) + bytes(4), CLASS, "1.2.840.10008.1.2.4.90"),
        "private transfer syntax": (b"\x93" * 5_000, CLASS, "1.2.826.0.1.3680043.2.1143.1.1"),
        "private SOP class": (head + bytes(100), "1.3.46.670589.11.0.0.12.1", EXPLICIT_LITTLE),
        "another class and UID than the command says": (head.replace(b"5.1.4.1.1.2\0", b"5.1.4.1.1.4\0") + b"\x08\x00\x18\x00UI\x04\x001.2\0", CLASS, EXPLICIT_LITTLE),
    }


def test_odd_and_lying_data_sets_arrive_as_they_came(grid: Bench, ct_study: list[Path]):
    sent = data_sets()
    for number, (name, (content, sop_class, syntax)) in enumerate(sent.items()):
        assert stored(grid.port, content, f"2.25.{1000 + number}", sop_class, syntax) == senders.SUCCESS, name
    assert senders.pynetdicom(grid.port, DESTINATION, ct_study) == ct_study
    grid.wait_for_instances(len(sent) + len(ct_study))
    grid.pull()
    found = Counter(map(harness.data_set_bytes, grid.reader.files()))
    expected = Counter([*(content for content, _, _ in sent.values()), *map(harness.data_set_bytes, ct_study)])
    assert not [name for name, (content, _, _) in sent.items() if content not in found]
    assert found == expected
    peak = grid.gateway.peak_memory_bytes()
    print(f"\n{len(sent)} odd data sets arrived byte for byte, peak of the gateway {peak / 1e6:.0f} MB")
    assert peak < LIMIT_BYTES


def test_one_image_sent_by_many_at_once_arrives_once(grid: Bench, tmp_path: Path):
    """The same images on eight associations side by side, each twice: success each time, one copy."""
    images = tiny.generate(tmp_path / "images", 6, seed=40)
    with ThreadPoolExecutor(CUTS_AT_ONCE) as pool:
        stored_by = list(pool.map(lambda _: senders.pynetdicom(grid.port, DESTINATION, [path for path in images for _ in range(2)]), range(CUTS_AT_ONCE)))
    assert all(len(stored) == 2 * len(images) for stored in stored_by)
    (delivery,) = grid.deliver_and_pull()
    assert (delivery["instances"], delivery["conflicts"]) == (len(images), 0)
    harness.assert_equal_bytes(images, grid.reader.files())


def test_a_crowd_of_silent_and_dripping_peers_keeps_no_sender_out(bench: Bench, tmp_path: Path, is_long: bool):
    """Connections that say nothing, that drip a request, that fall silent with an association, that drip an object, all from one address. Who comes
    from another is served at once; who shares theirs tries as PACSs do."""
    bench.start(**SETTINGS)
    crowd_size = CONNECTIONS_LONG if is_long else CONNECTIONS
    must_be_served(bench.port)
    before = descriptors(bench)
    crowd = Crowd(bench.port, crowd_size)
    studies = [tiny.generate(tmp_path / f"good-{number}", IMAGES_EACH, seed=60 + number) for number in range(GOOD_SENDERS)]
    try:
        busiest = descriptors(bench)
        with ThreadPoolExecutor(GOOD_SENDERS) as pool:
            addresses = ["127.0.0.1", CROWD_ADDRESS] * (GOOD_SENDERS // 2)
            tries = list(pool.map(lambda study, address: until_stored(bench.port, study, address), studies, addresses))
    finally:
        crowd.leave()
    bench.wait_for_instances(GOOD_SENDERS * IMAGES_EACH)
    bench.pull()
    harness.assert_equal_bytes([path for study in studies for path in study], bench.reader.files())
    wait_until("descriptors as before", lambda: descriptors(bench) <= before + 4, SECONDS_MAX)
    peak = bench.gateway.peak_memory_bytes()
    print(f"\n{crowd_size} idle peers, {busiest - before} of them held at once; senders of that address served after {max(tries[1::2])} tries at most; "
          f"descriptors {before}, then {descriptors(bench)}; peak of the gateway {peak / 1e6:.0f} MB")
    assert peak < LIMIT_BYTES
    assert set(tries[::2]) == {1}


class Crowd:
    """Peers that hold connections and do nothing useful with them, a quarter of each kind; a byte drips from each that drips, every so often."""

    DRIP_SECONDS = 0.2

    def __init__(self, port: int, size: int):
        asked = request()
        self._peers: list[socket.socket] = []
        self._dripping: list[tuple[socket.socket, bytes]] = []
        self._left = threading.Event()
        for number in range(size):
            peer = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(CROWD_ADDRESS, 0))
            peer.setblocking(False)
            self._peers.append(peer)
            kind = number % 4
            self._say(peer, {0: b"", 1: asked[:10], 2: asked, 3: asked + OBJECT[:10]}[kind])
            if kind in (1, 3):
                self._dripping.append((peer, asked[10:] if kind == 1 else bytes(90)))
        self._thread = threading.Thread(target=self._drip, daemon=True)
        self._thread.start()

    def _drip(self) -> None:
        position = 0
        while not self._left.wait(self.DRIP_SECONDS):
            for peer, rest in self._dripping:
                self._say(peer, rest[position : position + 1])
            position += 1

    def leave(self) -> None:
        self._left.set()
        self._thread.join()
        for peer in self._peers:
            peer.close()

    @staticmethod
    def _say(peer: socket.socket, content: bytes) -> None:
        try:
            peer.sendall(content)
        except OSError:  # The gateway hung up, as it should.
            pass


def until_stored(port: int, study: list[Path], address: str = "127.0.0.1") -> int:
    """Sends until all is stored; how many tries it took. A rejection must be one that asks to try again."""
    deadline = time.monotonic() + SECONDS_MAX
    for number in count(1):
        try:
            association = RawAssociation(port, DESTINATION, CLASS, address=address)
            for message, path in enumerate(study, start=1):
                assert association.store(harness.uid_of(path), [harness.data_set_bytes(path)], message) == senders.SUCCESS
            association.release()
            return number
        except Rejected as rejected:
            # PS3.8 9.3.4: rejected-transient, by the presentation part of the provider, temporary congestion.
            assert (rejected.result, rejected.source, rejected.reason) == (2, 3, 1)
        except (Aborted, OSError):
            pass
        assert time.monotonic() < deadline, "a good sender was kept out"
        time.sleep(0.5)


def test_thousands_of_slices_in_one_study(bench: Bench, tmp_path: Path, is_long: bool):
    wanted = SLICES_LONG if is_long else SLICES
    slices = tiny.generate(tmp_path / "slices", wanted, seed=90)
    bench.start(**{**SETTINGS, "silence_ms": 3_000})
    began = time.monotonic()
    with ThreadPoolExecutor(SENDERS_OF_SLICES) as pool:
        # They come in no order.
        list(pool.map(lambda first: until_stored(bench.port, slices[first::SENDERS_OF_SLICES]), range(SENDERS_OF_SLICES)))
    sent_s = time.monotonic() - began
    (delivery,) = bench.deliver_and_pull(seconds=900)
    assert (delivery["instances"], delivery["sequence"], delivery["conflicts"]) == (wanted, 1, 0)
    assert len(harness.messages(bench.store, "phone")) == 1
    pulled = bench.reader.files()
    # Names count the images in the order of the delivery.
    numbers = [int(pydicom.dcmread(path, specific_tags=["InstanceNumber"]).InstanceNumber) for path in sorted(pulled, key=lambda path: (len(path.name), path.name))]
    assert numbers == list(range(1, wanted + 1))
    harness.assert_equal_bytes(slices, pulled)
    peak = bench.gateway.peak_memory_bytes()
    print(f"\n{wanted} slices stored in {sent_s:.0f} s, one case, one notice, in order; peak of the gateway {peak / 1e6:.0f} MB")
    assert peak < LIMIT_BYTES
