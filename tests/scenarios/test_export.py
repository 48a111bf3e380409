"""`scanpost-reader export`: a case as a ZIP with a DICOMDIR, opened by pydicom, DCMTK, dicom3tools and Orthanc."""

import json
import stat
import subprocess
import zipfile
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.fileset import FileSet
from pydicom.uid import ImplicitVRLittleEndian

from lab.orthanc import Orthanc
from lab.programs import program

import harness
from harness import DONE, EXIT_DONE, EXIT_INCOMPLETE, Bench
from peers import senders

EXIT_SETUP = 5
OF_ANOTHER_STUDY = "2.25.990000000000000000000000000000000017"
# Each with the type of its record (PS3.3 F.4); none: no record has its keys.
KINDS = {"test-SR.dcm": "SR DOCUMENT", "reportsi.dcm": "SR DOCUMENT", "rtplan.dcm": "RT PLAN", "rtdose_1frame.dcm": "RT DOSE", "rtstruct.dcm": "RT STRUCTURE SET",
         "liver_1frame.dcm": "IMAGE", "waveform_ecg.dcm": "WAVEFORM", "examples_palette.dcm": "IMAGE", "SC_rgb_jpeg_dcmtk.dcm": "IMAGE", "image_dfl.dcm": "IMAGE",
         "MR_small_implicit.dcm": "IMAGE"}


def deliver(bench: Bench, files: list[Path]) -> str:
    """One study in its place; gives its case."""
    bench.start(near="0", settle_ms=100, silence_ms=500)
    assert senders.pynetdicom(bench.port, "DR_DEMO", files) == files
    (delivery,) = bench.gateway.wait_for_state(*DONE)
    bench.pull()
    return delivery["case"]


def export(bench: Bench, case: str, path: Path, expect: int = EXIT_DONE) -> str:
    command = [program("scanpost-reader"), "export", "--config", bench.reader.config, "--case", case, "--zip", path]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
    words = result.stdout + result.stderr
    assert result.returncode == expect, words
    return words


def unpacked(path: Path) -> Path:
    folder = path.with_suffix("")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return folder


@pytest.fixture
def every_kind(tmp_path: Path) -> list[Path]:
    """Objects of many kinds made one study of one patient, as a hospital would have them, each in its own transfer syntax; an SR in implicit VR among them."""
    made = []
    for name in KINDS:
        dataset = pydicom.dcmread(get_testdata_file(name), force=True)
        dataset.file_meta.TransferSyntaxUID = dataset.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.StudyInstanceUID, dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = OF_ANOTHER_STUDY, "Bergmann^Anna", "4711", "19500102"
        dataset.StudyDate, dataset.StudyTime = "20260101", "101500"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.SeriesInstanceUID = f"{OF_ANOTHER_STUDY}.{len(made)}"
        if not dataset.get("InstanceNumber"):
            dataset.InstanceNumber = len(made) + 1
        made.append(tmp_path / name)
        dataset.save_as(made[-1], enforce_file_format=True)
    dataset = pydicom.dcmread(made[0])
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{OF_ANOTHER_STUDY}.99"
    explicit, made_implicit = tmp_path / "sr-explicit.dcm", tmp_path / "sr-implicit.dcm"
    dataset.save_as(explicit)
    subprocess.run(["dcmconv", "+ti", str(explicit), str(made_implicit)], check=True)
    return [*made, made_implicit]


def test_a_case_is_a_file_set_that_others_open(bench: Bench, pacs: Orthanc, mr_study: list[Path]):
    case, path = deliver(bench, mr_study), bench.folder / "case.zip"
    words = export(bench, case, path)
    assert f"{len(mr_study)} files" in words and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.glob("case*")) == [path], "nothing is left beside it"
    folder = unpacked(path)
    names = [str(name.relative_to(folder)) for name in folder.rglob("*") if name.is_file()]
    assert sorted(names) == ["DICOM/" + f"IM{number:06}" for number in range(1, len(mr_study) + 1)] + ["DICOMDIR"]
    found = [Path(instance.path) for instance in FileSet(folder / "DICOMDIR")]
    harness.assert_equal_bytes(mr_study, found)
    numbers = [(int(one.SeriesNumber), int(one.InstanceNumber)) for one in map(pydicom.dcmread, sorted(found))]
    assert numbers == sorted(numbers) and len({series for series, _ in numbers}) > 1
    assert_directory_is_sound(folder)
    # Orthanc takes the archive as it is.
    taken = json.loads(pacs._answer("POST", "/instances", path.read_bytes(), "application/zip"))
    assert [one["Status"] for one in taken if "Status" in one].count("Success") == len(mr_study)


def assert_directory_is_sound(folder: Path) -> None:
    """DCMTK reads all of it, dicom3tools follows its records to every file and finds no error in them."""
    dump = subprocess.run(["dcmdump", "-q", str(folder / "DICOMDIR")], capture_output=True, text=True, check=True)
    assert not dump.stderr
    checked = subprocess.run(["dciodvfy", str(folder / "DICOMDIR")], capture_output=True, text=True)
    errors = [line for line in checked.stderr.splitlines() if line.startswith("Error")]
    assert not errors, "\n".join(errors)


def test_every_kind_of_object_has_the_record_that_its_type_asks_for(bench: Bench, every_kind: list[Path]):
    case, path = deliver(bench, every_kind), bench.folder / "case.zip"
    words = export(bench, case, path)
    assert f"{len(every_kind)} files" in words, words
    folder = unpacked(path)
    directory = pydicom.dcmread(folder / "DICOMDIR")
    records = {record.ReferencedSOPInstanceUIDInFile: record for record in directory.DirectoryRecordSequence if "ReferencedFileID" in record}
    expected = {harness.uid_of(file): kind for file, kind in zip(every_kind, [*KINDS.values(), "SR DOCUMENT"], strict=True)}
    assert {uid: record.DirectoryRecordType for uid, record in records.items()} == expected
    for file in every_kind:
        sent, record = pydicom.dcmread(file), records[harness.uid_of(file)]
        for element in record:
            if element.tag.group not in (0x0004, 0x0008) or element.keyword in ("ContentDate", "ContentTime"):
                holder = sent.VerifyingObserverSequence[0] if element.keyword == "VerificationDateTime" else sent
                assert element.value == holder[element.tag].value, (file.name, element.keyword)
    patients = [record for record in directory.DirectoryRecordSequence if record.DirectoryRecordType == "PATIENT"]
    assert [str(patient.PatientName) for patient in patients] == ["Bergmann^Anna"]
    harness.assert_equal_bytes(every_kind, [Path(instance.path) for instance in FileSet(folder / "DICOMDIR")])
    assert_directory_is_sound(folder)


def test_what_the_directory_cannot_name_is_said(bench: Bench, mr_study: list[Path], tmp_path: Path):
    report = pydicom.dcmread(get_testdata_file("test-SR.dcm"))
    report.StudyInstanceUID = pydicom.dcmread(mr_study[0]).StudyInstanceUID
    del report.ConceptNameCodeSequence
    report.save_as(tmp_path / "report.dcm")
    case, path = deliver(bench, [*mr_study[:3], tmp_path / "report.dcm"]), bench.folder / "case.zip"
    words = export(bench, case, path, EXIT_INCOMPLETE)
    assert "4 files; 1 of them are not in DICOMDIR, which has no record for such objects" in words
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 5


def test_nothing_is_written_over_and_nothing_is_made_of_nothing(bench: Bench, mr_study: list[Path]):
    case, path = deliver(bench, mr_study[:1]), bench.folder / "case.zip"
    path.write_text("kept")
    assert "cannot write the file: entity already exists" in export(bench, case, path, EXIT_SETUP)
    assert path.read_text() == "kept"
    assert "no delivery of that case" in export(bench, "0" * 32, bench.folder / "other.zip", EXIT_SETUP)
    assert not (bench.folder / "other.zip").exists()
