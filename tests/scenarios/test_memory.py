"""Peak memory of the gateway: bounded, however large or odd the object is."""

import hashlib
from contextlib import contextmanager
from pathlib import Path

import pydicom
from lab.process import children, peaks_bytes
from lab.study import multiframe
from peers import senders
from peers.raw_store import RawAssociation
from pydicom.data import get_testdata_file
from pydicom.uid import ImplicitVRLittleEndian, SecondaryCaptureImageStorage

import harness
from harness import Bench

MIB = 1 << 20
LIMIT_BYTES = 256 * MIB
# What any process may take for an object of so many bytes, below that.
BASE_BYTES, TIMES_INPUT = 64 * MIB, 4
# Helpers may live for a few hundredths of a second.
WATCH_SECONDS = 0.005
# On a busy machine none of them may be seen: they are sent once more.
TRIES_MAX = 5
FRAMES, FRAMES_LONG = 1024, 4095  # 512 MiB and, as one object, just under 2 GiB


def test_one_large_multiframe_object(bench: Bench, is_long: bool):
    frames = FRAMES_LONG if is_long else FRAMES
    bench.start(silence_ms=1_000)
    header = multiframe.data_set_without_pixels(frames, seed=31)
    digest = hashlib.sha256()
    def stream():
        for chunk in multiframe.chunks(frames, 31, with_meta=False):
            digest.update(chunk)
            yield chunk
    association = RawAssociation(bench.port, "DR_DEMO", multiframe.SOP_CLASS)
    assert association.store(str(header.SOPInstanceUID), stream()) == senders.SUCCESS
    association.release()
    bench.gateway.wait_for_state(*harness.DONE, seconds=1800)
    bench.pull()
    bench.gateway.wait_for_state("pulled")
    peak = bench.gateway.peak_memory_bytes()
    print(f"{frames * multiframe.FRAME_BYTES / 1e6:.0f} MB object, peak of the gateway {peak / 1e6:.0f} MB")
    (pulled,) = bench.reader.files()
    assert digest_of_data_set(pulled) == digest.hexdigest()
    assert peak < LIMIT_BYTES


def test_many_instances(bench: Bench, mr_study: list[Path], ct_study: list[Path]):
    bench.start()
    senders.pynetdicom(bench.port, "DR_DEMO", [*mr_study, *ct_study])
    bench.deliver_and_pull(count=2)
    assert bench.gateway.peak_memory_bytes() < LIMIT_BYTES


def test_small_and_odd_objects_of_others_take_little(bench: Bench):
    """pydicom's own test files, as they are: first the one of 674 bytes whose sequence has no known length, then all of them. Each process by itself."""
    # Within a bound, so that what is compressed is decoded.
    bench.start(silence_ms=300, near='"auto"')
    least = Path(get_testdata_file("UN_sequence.dcm"))
    files = sorted(least.parent.glob("*.dcm"))
    assert least.stat().st_size == 674 and len(files) > 60
    processes: set[int] = set()
    for number, batch in enumerate([[least], *[files] * TRIES_MAX]):
        with watched(bench.gateway.child.pid) as peaks:
            for path in batch:
                assert store_as_it_is(bench.port, path, f"2.25.{1000 * (number + 1) + files.index(path)}") == senders.SUCCESS, path.name
            bench.wait_for_instances(1 + number * len(files))
        print(f"\n{len(batch)} objects, {len(peaks)} processes, the largest took {max(peaks.values()) / MIB:.0f} MiB")
        assert max(peaks.values()) <= BASE_BYTES + TIMES_INPUT * sum(path.stat().st_size for path in batch), peaks
        processes |= set(peaks)
        if number > 0 and len(processes) > 2:
            break
    assert len(processes) > 2, "the gateway decodes and reads mailboxes by processes of their own"


@contextmanager
def watched(pid: int):
    """Peak memory of a process and of each that it starts, by process id, in bytes; complete at the end of the block."""
    peaks: dict[int, int] = {}

    def look() -> None:
        for one in (pid, *children(pid)):
            try:
                peaks[one] = max(peaks.get(one, 0), *peaks_bytes(one))
            except (OSError, TypeError):
                # It has ended.
                continue

    with harness.going_on(look, WATCH_SECONDS):
        yield peaks


def store_as_it_is(port: int, path: Path, uid: str) -> int:
    """The data set of a file, whatever it is, as what its meta group says, or as a picture where that says nothing."""
    meta = pydicom.dcmread(path, force=True, stop_before_pixels=True).file_meta
    sop_class = str(meta.get("MediaStorageSOPClassUID") or SecondaryCaptureImageStorage)
    syntax = str(meta.get("TransferSyntaxUID") or ImplicitVRLittleEndian)
    has_meta = path.read_bytes()[128:140] == b"DICM\x02\x00\x00\x00UL\x04\x00"
    association = RawAssociation(port, "DR_DEMO", sop_class, transfer_syntax=syntax)
    status = association.store(uid, [harness.data_set_bytes(path) if has_meta else path.read_bytes()])
    association.release()
    return status


def digest_of_data_set(path: Path) -> str:
    """SHA-256 of what follows the meta group, without holding the file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        start = file.read(144)
        file.seek(144 + int.from_bytes(start[140:144], "little"))
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
