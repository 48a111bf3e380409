"""What belongs to a delivery: proved, partial, not proved; late images; repeats; one UID with two contents."""

import time
from pathlib import Path

import pydicom

from lab.orthanc import Orthanc
from peers import senders

import harness
from harness import Bench
from test_whole_path import press


def test_a_pacs_that_cannot_be_asked_gives_completeness_not_proved(bench: Bench, ct_study: list[Path]):
    bench.start(silence_ms=2_000)
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study)
    ended = time.monotonic()
    (delivery,) = bench.gateway.wait_for_state(*harness.DONE)
    assert harness.completeness(delivery) == {"is": "not_proved", "instances": len(ct_study)}
    assert time.monotonic() - ended >= 2
    assert "completeness not proved" in bench.pull()


def test_one_image_less_than_the_pacs_lists_is_partial(bench: Bench, pacs: Orthanc, ct_study: list[Path]):
    bench.start(pacs_port=pacs.dicom_port)
    study = {pacs.add_file(path) for path in ct_study}.pop()
    pacs.know_gateway("scanpost", "DR_DEMO", bench.port)
    pacs.know_gateway("gateway", "SCANPOST", bench.port)
    pacs.send("scanpost", sorted(pacs.instances_of(study))[1:])
    (delivery,) = bench.gateway.wait_for_state(*harness.DONE)
    count = len(ct_study)
    assert harness.completeness(delivery) == {"is": "partial", "instances": count - 1, "listed": count}
    # The doctor is told too, and holds what was sent.
    assert f"{count - 1} of {count}" in bench.pull()
    assert len(bench.reader.files()) == count - 1


def test_late_images_are_a_supplement_of_the_same_case(bench: Bench, ct_study: list[Path]):
    bench.start(silence_ms=1_000)
    early, late = ct_study[:-3], ct_study[-3:]
    senders.pynetdicom(bench.port, "DR_DEMO", early)
    bench.gateway.wait_for_state(*harness.DONE)
    senders.pynetdicom(bench.port, "DR_DEMO", late)
    deliveries = bench.deliver_and_pull(count=2)
    assert [delivery["sequence"] for delivery in deliveries] == [1, 2]
    assert deliveries[0]["case"] == deliveries[1]["case"]
    assert [delivery["instances"] for delivery in deliveries] == [len(early), len(late)]
    harness.assert_equal_bytes(ct_study, bench.reader.files())


def test_the_same_images_again_make_nothing_new(bench: Bench, ct_study: list[Path]):
    bench.start(silence_ms=1_000)
    senders.pynetdicom(bench.port, "DR_DEMO", [*ct_study, *ct_study])
    bench.deliver_and_pull()
    assert senders.pynetdicom(bench.port, "DR_DEMO", ct_study) == ct_study
    # Longer than settling and silence together.
    time.sleep(3)
    (delivery,) = bench.gateway.deliveries()
    assert (delivery["state"], delivery["instances"]) == ("pulled", len(ct_study))
    bench.pull()
    harness.assert_equal_bytes(ct_study, bench.reader.files())


def test_one_uid_with_other_bytes_keeps_both_and_says_so(bench: Bench, ct_study: list[Path], tmp_path: Path):
    other = tmp_path / "other.dcm"
    data_set = pydicom.dcmread(ct_study[0])
    data_set.SeriesDescription = "CHANGED"
    data_set.save_as(other)
    bench.start(silence_ms=2_000)
    files = [*ct_study, other]
    assert senders.pynetdicom(bench.port, "DR_DEMO", files) == files
    (delivery,) = bench.deliver_and_pull()
    assert delivery["instances"] == len(files)
    assert delivery["conflicts"] > 0
    harness.assert_equal_bytes(files, bench.reader.files())
