"""Peak memory of the gateway: bounded, however large the object is."""

from pathlib import Path

from lab.study import multiframe
from peers import senders
from peers.raw_store import RawAssociation

import hashlib

import harness
from harness import Bench

LIMIT_BYTES = 256 * 1024 * 1024
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


def digest_of_data_set(path: Path) -> str:
    """SHA-256 of what follows the meta group, without holding the file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        start = file.read(144)
        file.seek(144 + int.from_bytes(start[140:144], "little"))
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
