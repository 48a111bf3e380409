"""From a press to files at the doctor, with each sender that matters, on generated and on real studies."""

import threading
import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_files

from lab.orthanc import Orthanc
from peers import senders

import harness
from harness import Bench

REAL_SERIES = ("mr-head-t1-2d-siemens", "mr-head-dwi-siemens", "ct-head-4mm-ge")


def test_storescu(bench: Bench, mr_study: list[Path]):
    bench.start()
    senders.storescu(bench.port, "DR_DEMO", mr_study)
    (delivery,) = bench.deliver_and_pull()
    assert (delivery["instances"], delivery["sequence"], delivery["max_error"]) == (len(mr_study), 1, 0)
    assert delivery["trouble"] is None
    harness.assert_equal_elements(mr_study, bench.reader.files())


def test_pynetdicom_bytes_come_back_as_they_went(bench: Bench, mr_study: list[Path]):
    bench.start()
    assert senders.pynetdicom(bench.port, "DR_DEMO", mr_study) == mr_study
    bench.deliver_and_pull()
    harness.assert_equal_bytes(mr_study, bench.reader.files())


def test_every_stage_has_its_time_and_size(bench: Bench, ct_study: list[Path]):
    bench.start()
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study)
    (delivery,) = bench.deliver_and_pull()
    assert set(delivery["seconds"]) == {"receive", "assemble", "compress", "seal", "submit", "notify", "pulled"}
    assert 0 < delivery["click_to_notified"] <= delivery["click_to_pulled"]
    received = sum(len(harness.data_set_bytes(path)) for path in ct_study)
    assert delivery["received_bytes"] == received
    assert 0 < delivery["bundle_bytes"] < received and delivery["mail_bytes"] > delivery["bundle_bytes"]


def test_pulling_twice_changes_nothing(bench: Bench, ct_study: list[Path]):
    bench.start()
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study)
    bench.deliver_and_pull()
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in bench.reader.files()}
    mails = len(harness.messages(bench.store, "doctor"))
    bench.pull()
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in bench.reader.files()} == before
    assert len(harness.messages(bench.store, "doctor")) == mails


def test_orthanc_as_the_pacs_proves_the_study_complete(bench: Bench, pacs: Orthanc, mr_study: list[Path]):
    bench.start(pacs_port=pacs.dicom_port)
    press(bench, pacs, mr_study)
    (delivery,) = bench.deliver_and_pull()
    assert harness.completeness(delivery) == {"is": "proved", "instances": len(mr_study)}
    harness.assert_equal_elements(mr_study, bench.reader.files())


def test_two_doctors_each_get_the_study(bench: Bench, ct_study: list[Path]):
    bench.start(destinations={"ON_CALL": ["doctor", "doctor2"]})
    senders.pynetdicom(bench.port, "ON_CALL", ct_study)
    bench.gateway.wait_for_state(*harness.DONE)
    second = bench.reader_of("doctor2")
    bench.pull()
    bench.pull(second)
    bench.gateway.wait_for_state("pulled")
    harness.assert_equal_bytes(ct_study, bench.reader.files())
    harness.assert_equal_bytes(ct_study, second.files())


def test_three_senders_at_once(bench: Bench, mr_study: list[Path], ct_study: list[Path]):
    """Two share one study, the third sends another one."""
    bench.start(silence_ms=4_000)
    thirds = (mr_study[::2], mr_study[1::2], ct_study)
    answers: dict[int, list[Path]] = {}
    def send(number: int) -> None:
        answers[number] = senders.pynetdicom(bench.port, "DR_DEMO", thirds[number], calling=f"SENDER{number}")
    threads = [threading.Thread(target=send, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(answers[number]) for number in range(3)] == [len(third) for third in thirds]
    deliveries = bench.deliver_and_pull(count=2)
    assert sorted(delivery["instances"] for delivery in deliveries) == sorted([len(mr_study), len(ct_study)])
    harness.assert_equal_bytes([*mr_study, *ct_study], bench.reader.files())


def test_one_association_for_each_image(bench: Bench, ct_study: list[Path]):
    bench.start()
    for path in ct_study:
        senders.pynetdicom(bench.port, "DR_DEMO", [path])
    (delivery,) = bench.deliver_and_pull()
    assert delivery["instances"] == len(ct_study)
    harness.assert_equal_bytes(ct_study, bench.reader.files())


def test_pydicoms_own_files_compressed_ones_among_them(bench: Bench):
    """JPEG, JPEG-LS, JPEG 2000, RLE, deflated, big endian, SR, RT, ECG, odd character sets: every data set byte for byte."""
    files = sendable_test_files()
    syntaxes = {str(pydicom.filereader.read_file_meta_info(path).TransferSyntaxUID) for path in files}
    assert len(files) >= 50 and len(syntaxes) >= 8, f"{len(files)} files, {len(syntaxes)} transfer syntaxes"
    bench.start()
    stored = senders.pynetdicom(bench.port, "DR_DEMO", files)
    assert {path.name for path in files} == {path.name for path in stored}
    studies = {study_of(path) for path in files}
    bench.deliver_and_pull(count=len(studies), seconds=300)
    harness.assert_equal_bytes(unique(files), bench.reader.files())


@pytest.mark.parametrize("series", REAL_SERIES)
def test_real_series(bench: Bench, pacs: Orthanc, real_data: Path, series: str):
    files = sorted((real_data / series).glob("*.dcm"))
    assert files, f"{real_data / series} holds no files"
    bench.start(pacs_port=pacs.dicom_port)
    press(bench, pacs, files)
    (delivery,) = bench.deliver_and_pull(seconds=300)
    assert harness.completeness(delivery)["is"] == "proved"
    harness.assert_equal_elements(files, bench.reader.files())


def press(bench: Bench, pacs: Orthanc, files: list[Path]) -> None:
    """The PACS's button: all the files, in Orthanc, sent to the doctor's AE title."""
    studies = sorted({pacs.add_file(path) for path in files})
    pacs.know_gateway("scanpost", "DR_DEMO", bench.port)
    pacs.know_gateway("gateway", "SCANPOST", bench.port)
    pacs.send("scanpost", studies)


def sendable_test_files() -> list[Path]:
    """pydicom's bundled Part 10 files that name a SOP class and instance; the others cannot be sent by C-STORE at all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bundled = Path(get_testdata_files("CT_small.dcm")[0]).parent
    return [path for path in sorted(bundled.rglob("*.dcm")) if is_sendable(path)]


def is_sendable(path: Path) -> bool:
    content = path.read_bytes()
    if content[128:140] != b"DICM\x02\x00\x00\x00UL\x04\x00":
        return False
    try:
        meta = pydicom.filereader.read_file_meta_info(path)
        data_set = pydicom.dcmread(path, stop_before_pixels=True)
        return bool(meta.TransferSyntaxUID and data_set.SOPClassUID == meta.MediaStorageSOPClassUID
                    and data_set.SOPInstanceUID == meta.MediaStorageSOPInstanceUID)
    except Exception:  # Damaged on purpose.
        return False


def study_of(path: Path) -> str:
    return str(pydicom.dcmread(path, specific_tags=["StudyInstanceUID"], stop_before_pixels=True).get("StudyInstanceUID", ""))


def unique(files: list[Path]) -> list[Path]:
    """Identical data sets arrive once, within one study and transfer syntax."""
    kept = {(study_of(path), str(pydicom.filereader.read_file_meta_info(path).TransferSyntaxUID), harness.data_set_digest(path)): path for path in files}
    return list(kept.values())
