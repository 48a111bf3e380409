"""`scanpost-reader serve`: a second hospital gets each new case by itself into its own PACS, each image once, whatever goes down on the way."""

import fcntl
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.mailbox import Mailbox
from lab.orthanc import AE_TITLE, Orthanc
from lab.ports import free_port
from lab.process import Child
from lab.programs import program
from lab.study import mr
from peers import senders
from peers.imap_between import ImapBetween
from peers.receivers import Receiver

import harness
from harness import Bench
from test_forward import assert_silent, stored_by
from test_secrecy import pieces_of, with_one_bit_changed

EXIT_SETUP = 5
IMAGES = 6
KILLS = 4


class Service:
    """The reader's service beside the bench's gateway. `kill` and `start` again is a crash and a restart."""

    def __init__(self, bench: Bench):
        self.bench, self.log = bench, bench.folder / "log" / "serve.log"
        self.child: Child | None = None
        bench.extra_logs.append(self.log)

    def start(self) -> None:
        self.child = Child([program("scanpost-reader"), "serve", "--config", self.bench.reader.config], self.log)

    def says(self, words: str, seconds: float = 60) -> None:
        harness.wait_until(words, lambda: self.log.exists() and words in self.log.read_text(), seconds)


@pytest.fixture
def service(bench: Bench, pacs: Orthanc) -> Iterator[Service]:
    know(pacs)
    write_forward(bench, f'to = "{AE_TITLE}@127.0.0.1:{pacs.dicom_port}"')
    service = Service(bench)
    yield service
    if service.child and service.child.is_running():
        service.child.stop()


def know(pacs: Orthanc) -> None:
    """Orthanc takes objects from whom it knows, and forgets it when it ends."""
    pacs.know_gateway("reader", "SCANPOST", free_port())


def write_forward(bench: Bench, *lines: str) -> None:
    text = bench.reader.config.read_text().split("[forward]")[0]
    bench.reader.config.write_text("\n".join([text, "[forward]", *lines, ""]))


def send(bench: Bench, folder: Path, seed: int) -> list[Path]:
    files = harness.generated(folder, mr, IMAGES, seed)
    assert senders.pynetdicom(bench.port, "DR_DEMO", files) == files
    return files


def data_sets(files: list[Path]) -> list[bytes]:
    return sorted(map(harness.data_set_bytes, files))


def wait_for_pacs(pacs: Orthanc, count: int) -> None:
    harness.wait_until(f"{count} images in the PACS", lambda: len(stored_by(pacs)) >= count, 120)
    assert len(stored_by(pacs)) == count


def test_each_case_reaches_the_second_hospital_by_itself_with_a_receipt(bench: Bench, pacs: Orthanc, service: Service, tmp_path: Path):
    bench.start(silence_ms=500, settle_ms=100)
    service.start()
    first = harness.generated(tmp_path / "first", mr, IMAGES + 1, 301)
    late = [first.pop()]
    assert senders.pynetdicom(bench.port, "DR_DEMO", first) == first
    bench.gateway.wait_for_state("pulled")
    wait_for_pacs(pacs, IMAGES)
    # One that comes while nothing is under way, and one more image of the first case.
    second = send(bench, tmp_path / "second", 302)
    wait_for_pacs(pacs, 2 * IMAGES)
    assert senders.pynetdicom(bench.port, "DR_DEMO", late) == late
    wait_for_pacs(pacs, 2 * IMAGES + 1)
    bench.gateway.wait_for_state("pulled", count=3)
    harness.wait_until("three lines", lambda: service.log.read_text().count("forwarded to") == 3)
    assert data_sets(stored_by(pacs)) == data_sets([*first, *second, *late])
    assert service.child.stop() == 0
    words = service.log.read_text()
    assert words.count("forwarded to") == 3 and "WARN" not in words, words
    assert_silent(words, first)


def test_what_is_down_is_told_once_and_waited_for(bench: Bench, pacs: Orthanc, service: Service, tmp_path: Path):
    bench.start(silence_ms=500, settle_ms=100)
    pacs.stop()
    service.start()
    send(bench, tmp_path / "first", 311)
    # The receipt says what it says: the study was pulled.
    bench.gateway.wait_for_state("pulled")
    service.says("it cannot be reached")
    bench.store.stop()
    service.says("nothing can be pulled now")
    pacs.start()
    know(pacs)
    # What is here goes on without the mailbox.
    wait_for_pacs(pacs, IMAGES)
    bench.store.start()
    service.says("the mailbox can be read again")
    send(bench, tmp_path / "second", 312)
    wait_for_pacs(pacs, 2 * IMAGES)
    words = service.log.read_text()
    assert words.count("it cannot be reached") == 1, words


def test_killed_at_any_time_it_goes_on_and_one_image_a_kill_goes_twice_at_most(bench: Bench, service: Service, tmp_path: Path):
    workstation = Receiver()
    write_forward(bench, f'to = "{workstation.target}"')
    bench.start(silence_ms=500, settle_ms=100)
    sent: list[Path] = []
    try:
        for number in range(KILLS):
            service.start()
            sent += send(bench, tmp_path / str(number), 320 + number)
            if number % 2:
                harness.wait_until("some images", lambda: len(workstation.uids()) > len(sent) - IMAGES)
            service.child.kill()
        service.start()
        bench.gateway.wait_for_state("pulled", count=KILLS)
        harness.wait_until("all images", lambda: set(workstation.uids()) == set(map(harness.uid_of, sent)), 120)
        service.says("forwarded to")
        assert workstation.asked <= len(sent) + KILLS
    finally:
        workstation.stop()


def test_images_that_are_in_the_pacs_are_deleted_here_and_not_pulled_again(bench: Bench, pacs: Orthanc, service: Service, tmp_path: Path):
    target = f'to = "{AE_TITLE}@127.0.0.1:{pacs.dicom_port}"'
    write_forward(bench, target, "keep_days = 1")
    bench.start(silence_ms=500, settle_ms=100)
    service.start()
    send(bench, tmp_path / "first", 331)
    # The PACS has the last image a moment before its answer is remembered.
    service.says(f"{IMAGES} forwarded to")
    service.child.stop()
    assert len(bench.reader.files()) == IMAGES, "a day is not over"
    write_forward(bench, target, "keep_days = 0")
    pacs.stop()
    service.start()
    service.says("images that were forwarded are deleted here")
    assert bench.reader.files() == []
    send(bench, tmp_path / "second", 332)
    service.says("it cannot be reached")
    assert len(bench.reader.files()) == IMAGES, "what the PACS has not acknowledged stays"
    pacs.start()
    know(pacs)
    wait_for_pacs(pacs, 2 * IMAGES)
    harness.wait_until("the images of the second", lambda: bench.reader.files() == [])
    service.child.stop()
    assert "2 deliveries were pulled before" in bench.pull() and bench.reader.files() == []
    # What a crash in the middle of a deletion leaves.
    left = next(bench.reader.output.glob("*/0001")) / "s01"
    left.mkdir()
    (left / "0001.dcm").write_bytes(b"an image")
    service.start()
    harness.wait_until("what was left", lambda: not left.exists())


def test_what_somebody_changed_is_said_once_and_holds_up_nothing(bench: Bench, pacs: Orthanc, service: Service, tmp_path: Path):
    bench.start(silence_ms=500, settle_ms=100)
    send(bench, tmp_path / "first", 341)
    bench.gateway.wait_for_state(*harness.DONE)
    with Mailbox(bench.store, "doctor") as mailbox:
        (piece,) = pieces_of(mailbox.messages())
        mailbox.delete(piece.uid)
        mailbox.append(with_one_bit_changed(piece.content))
    service.start()
    service.says("refused")
    second = send(bench, tmp_path / "second", 342)
    service.says(f"{IMAGES} forwarded to")
    assert data_sets(stored_by(pacs)) == data_sets(second)
    words = service.log.read_text()
    assert words.count("refused") == 1, words


@pytest.mark.parametrize("idle", [True, False])
def test_a_piece_that_is_late_is_waited_for(bench: Bench, pacs: Orthanc, service: Service, tmp_path: Path, idle: bool):
    between = ImapBetween(bench.store.dir / "tls", bench.store.imaps_port, "IDLE", b"TAG BAD what\r\n", math.inf if not idle else 0)
    bench.reader.config.write_text(bench.reader.config.read_text().replace(f"port = {bench.store.imaps_port}", f"port = {between.port}"))
    bench.start(silence_ms=500, settle_ms=100)
    first = send(bench, tmp_path / "first", 351)
    bench.gateway.wait_for_state(*harness.DONE)
    with Mailbox(bench.store, "doctor") as mailbox:
        (piece,) = pieces_of(mailbox.messages())
        mailbox.delete(piece.uid)
    with between:
        service.start()
        service.says("piece 1 of 1 has not arrived yet")
        with Mailbox(bench.store, "doctor") as mailbox:
            mailbox.append(piece.content)
        wait_for_pacs(pacs, IMAGES)
        second = send(bench, tmp_path / "second", 352)
        harness.wait_until("two lines", lambda: service.log.read_text().count("forwarded to") == 2)
        assert data_sets(stored_by(pacs)) == data_sets([*first, *second])
        words = service.log.read_text()
        assert words.count("has not arrived yet") == 1, words


def test_who_waits_for_another_pull_ends_when_it_is_told_to(bench: Bench, service: Service, tmp_path: Path):
    bench.start(silence_ms=500, settle_ms=100)
    service.start()
    send(bench, tmp_path / "first", 361)
    bench.gateway.wait_for_state("pulled")
    with open(bench.reader.output / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        send(bench, tmp_path / "second", 362)
        service.says("another pull works in this output folder")
        assert service.child.stop() == 0


def test_a_configuration_that_is_of_no_use_ends_it(bench: Bench, service: Service):
    bench.reader.config.write_text(bench.reader.config.read_text().replace("plain_keys = true", 'plain_keys = true\nidentity_key = "nowhere"\nidentity_certificate = "nowhere"'))
    service.start()
    assert service.child.process.wait(30) == EXIT_SETUP
    assert "nowhere" in service.log.read_text()


def test_days_to_keep_without_a_place_to_forward_to_are_refused(bench: Bench, service: Service):
    write_forward(bench, "keep_days = 7")
    service.start()
    assert service.child.process.wait(30) == EXIT_SETUP
    assert "say where to" in service.log.read_text()
