"""The disk of the state folder is full: what is said is true, and what can go on goes on once there is room."""

import errno
import os
import subprocess
import time
from pathlib import Path

import pytest

from lab.study import ct
from peers import senders
from peers.raw_store import RawAssociation, Rejected

import harness
from harness import Bench
from test_audit import audit

DESTINATION = "DR_DEMO"
# What the gateway keeps free (gateway/src/spool.rs), and a disk with a little more.
KEPT_BYTES = 256 << 20
DISK_BYTES = KEPT_BYTES + (64 << 20)
PAGE_BYTES = 4096
# Room above what is kept, when the sender comes: some images of half a megabyte.
ROOM_BYTES = 4 << 20
# PS3.4 B.2.3: refused, out of resources, A700 to A7FF.
OUT_OF_RESOURCES = 0xA7
SETTINGS = dict(settle_ms=200, silence_ms=2_000, poll_ms=150, cover_seen_ms=2_000)
# The pipeline meets the full disk more than once: it tries again after one second, then two.
FULL_SECONDS = 4
STRANGERS = 20
SECONDS_MAX = 120


class SmallDisk:
    """The state folder's file system, and a file that takes its room."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._filler = folder / "filler"

    def free_bytes(self) -> int:
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize

    def leave(self, bytes_free: int) -> None:
        """Somebody else's file grows until so many bytes are free."""
        with open(self._filler, "ab") as filler:
            os.posix_fallocate(filler.fileno(), filler.tell(), self.free_bytes() - bytes_free)

    def fill(self) -> None:
        """It grows to the last byte, whoever else writes meanwhile."""
        with open(self._filler, "ab", buffering=0) as filler:
            for size in (1 << 20, PAGE_BYTES):
                try:
                    while filler.write(bytes(size)) == size:
                        pass
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    def make_room(self) -> None:
        self._filler.unlink()


@pytest.fixture
def disk(bench: Bench):
    """The bench's state folder on a disk of its own; skipped where nobody may mount."""
    folder = bench.gateway.folder / "state"
    folder.mkdir(parents=True, mode=0o700)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"NOT RUN: no file system may be mounted here: {mounted.stderr.strip()}")
    yield SmallDisk(folder)
    bench.gateway.stop()
    try:
        bench.gateway.replay()
    finally:
        subprocess.run(["umount", folder], check=True)


def store_each(association: RawAssociation, files: list[Path]) -> dict[Path, int]:
    """The status of each."""
    return {path: association.store(harness.uid_of(path), [harness.data_set_bytes(path)], number) for number, path in enumerate(files, start=1)}


def is_out_of_resources(status: int) -> bool:
    return status >> 8 == OUT_OF_RESOURCES


def test_a_full_disk_is_said_and_the_rest_is_taken_once_there_is_room(bench: Bench, disk: SmallDisk, ct_study: list[Path]):
    """One association: some images, then A700 for each, then room is made and the same gateway takes the others."""
    bench.start(**SETTINGS)
    disk.leave(KEPT_BYTES + ROOM_BYTES)
    association = RawAssociation(bench.port, DESTINATION, ct.CT_IMAGE_STORAGE)
    first = store_each(association, ct_study)
    stored = [path for path, status in first.items() if status == senders.SUCCESS]
    refused = [path for path, status in first.items() if is_out_of_resources(status)]
    assert stored and refused and len(stored) + len(refused) == len(ct_study), first
    assert not is_accepted_by_another(bench, refused[0])
    disk.make_room()
    again = store_each(association, refused)
    assert set(again.values()) == {senders.SUCCESS}, again
    association.release()
    bench.wait_for_instances(len(ct_study))
    bench.pull()
    harness.assert_equal_bytes(ct_study, bench.reader.files())
    assert bench.gateway.child.is_running()
    assert audit(bench, "verify").returncode == 0
    print(f"\nfull disk: {len(stored)} of {len(ct_study)} images taken, {len(refused)} answered A7xx on an association that stayed and then took them; none lost")


def is_accepted_by_another(bench: Bench, path: Path) -> bool:
    """Whether a sender that comes now is told that its image is stored; it is let in all the same."""
    association = RawAssociation(bench.port, DESTINATION, ct.CT_IMAGE_STORAGE)
    status = association.store(harness.uid_of(path), [harness.data_set_bytes(path)])
    association.release()
    return status == senders.SUCCESS


@pytest.mark.parametrize("left", ["the torn image's room", "nothing"])
def test_the_disk_is_filled_in_the_middle_of_an_image(bench: Bench, disk: SmallDisk, ct_study: list[Path], left: str):
    """Not even what the gateway keeps free is left, while an object comes and a delivery is under way; or that, and the room of the object that it gave
    up. Once there is room it goes on by itself, and its audit trail has what happened meanwhile."""
    bench.start(**{**SETTINGS, "silence_ms": 1_000})
    early, torn, late = ct_study[:4], ct_study[4], ct_study[5:]
    assert senders.pynetdicom(bench.port, DESTINATION, early) == early
    association = RawAssociation(bench.port, DESTINATION, ct.CT_IMAGE_STORAGE)
    content = harness.data_set_bytes(torn)
    association.send_command(harness.uid_of(torn))
    association.send_data([content[:200_000]], finish=False)
    disk.fill()
    association.send_data([content[200_000:]])
    assert is_out_of_resources(association.read_status())
    if left == "nothing":
        disk.fill()
    assert all(map(is_out_of_resources, store_each(association, late).values()))
    for number in range(STRANGERS):  # The audit trail has something to tell.
        with pytest.raises(Rejected):
            RawAssociation(bench.port, f"NOBODY{number}", ct.CT_IMAGE_STORAGE)
    # The delivery of the early ones comes to a stop somewhere.
    time.sleep(FULL_SECONDS)
    disk.make_room()
    rest = [torn, *late]
    if left == "nothing":
        assert "audit trail cannot be written: the disk is full (operator: make room" in bench.log.read_text()
        bench.wait_for_log("the audit trail is written again")
    assert set(store_each(association, rest).values()) == {senders.SUCCESS}
    association.release()
    bench.wait_for_instances(len(ct_study))
    bench.pull()
    harness.assert_equal_bytes(ct_study, bench.reader.files())
    assert bench.gateway.child.is_running()
    assert "transaction depth" not in bench.log.read_text(), "a connection to the journal is used that SQLite threw out of its transaction"
    assert audit(bench, "verify").returncode == 0
    assert "Security Alert" in audit(bench, "list").stdout
