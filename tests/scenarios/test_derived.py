"""What comes out of a bounded bundle: honest DICOM to other people's software, and to a comparison that can fail."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from lab import compare, derived
from lab.programs import program
from lab.study import header, mr

import harness

NEAR = 3
IMAGES = 12
KEY_OBJECT, GREYSCALE_STATE = "1.2.840.10008.5.1.4.1.1.88.59", "1.2.840.10008.5.1.4.1.1.11.1"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated MR of one study in three transfer syntaxes, with a key object, a presentation state, a report, a segmentation
    and a dose plan that refer to its images."""
    folder = tmp_path_factory.mktemp("bounded") / "sent"
    folder.mkdir()
    mr.generate(folder, IMAGES, seed=5)
    paths = sorted(folder.glob("*.dcm"))
    for number, path in enumerate(paths):
        _prepare(path, number)
    first, second = (pydicom.dcmread(path, stop_before_pixels=True) for path in paths[:2])
    _key_object(first, second).save_as(folder / "ko.dcm", enforce_file_format=True)
    _presentation_state(first).save_as(folder / "pr.dcm", enforce_file_format=True)
    _given("test-SR.dcm", first, lambda sr: _report(sr, first)).save_as(folder / "sr.dcm", enforce_file_format=True)
    _given("liver_1frame.dcm", first, lambda seg: _refer(seg, first)).save_as(folder / "seg.dcm", enforce_file_format=True)
    _given("rtplan.dcm", first, lambda plan: _refer(plan, first)).save_as(folder / "rt.dcm", enforce_file_format=True)
    return folder


def _prepare(path: Path, number: int) -> None:
    """Series in other transfer syntaxes, a ground of zeros, a localiser, a history, a black slice: what real studies have."""
    data_set = pydicom.dcmread(path)
    series = int(data_set.SeriesNumber)
    pixels = data_set.pixel_array.copy()
    pixels[: pixels.shape[0] // 2] = 0
    data_set.PixelData = pixels.tobytes()
    data_set.add_new("SmallestImagePixelValue", "US", int(data_set.pixel_array.min()))
    data_set.ReferencedImageSequence = [_reference(data_set)]
    if number == 1:
        data_set.ImageComments = "現場"
        data_set.DerivationDescription = "before"
        data_set.PixelData = bytes(len(data_set.PixelData))
    syntax = {2: ImplicitVRLittleEndian, 3: ExplicitVRBigEndian}.get(series, ExplicitVRLittleEndian)
    data_set.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        data_set.PixelData = np.frombuffer(data_set.PixelData, "<u2").astype(">u2").tobytes()
    pydicom.dcmwrite(path, data_set, enforce_file_format=True)


def _reference(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return item


def _series_reference(images: list[Dataset]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = images[0].SeriesInstanceUID
    item.ReferencedSOPSequence = [_reference(image) for image in images]
    return item


def _evidence(images: list[Dataset]) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = images[0].StudyInstanceUID
    item.ReferencedSeriesSequence = [_series_reference(images)]
    return item


def _other(image: Dataset, sop_class: str, modality: str, number: int):
    made = header.new_data_set(5, modality, sop_class, 90 + number, 1, "REFERS")
    made.StudyInstanceUID = image.StudyInstanceUID
    made.ImageType = None
    del made.ImageType
    return made


def _key_object(first: Dataset, second: Dataset):
    note = _other(first, KEY_OBJECT, "KO", 1)
    note.CurrentRequestedProcedureEvidenceSequence = [_evidence([first, second])]
    content = Dataset()
    content.RelationshipType, content.ValueType = "CONTAINS", "IMAGE"
    content.ReferencedSOPSequence = [_reference(first)]
    note.ContentSequence = [content]
    return note


def _presentation_state(image: Dataset):
    state = _other(image, GREYSCALE_STATE, "PR", 2)
    series = _series_reference([image])
    series.ReferencedImageSequence = series.pop("ReferencedSOPSequence").value
    state.ReferencedSeriesSequence = [series]
    return state


def _given(name: str, image: Dataset, change):
    """A real object of pydicom's, moved into the study."""
    data_set = pydicom.dcmread(get_testdata_file(name))
    data_set.StudyInstanceUID = image.StudyInstanceUID
    change(data_set)
    return data_set


def _report(report: Dataset, image: Dataset) -> None:
    report.CurrentRequestedProcedureEvidenceSequence = [_evidence([image])]
    content = Dataset()
    content.RelationshipType, content.ValueType, content.UID = "CONTAINS", "UIDREF", image.SOPInstanceUID
    report.ContentSequence = [*(report.get("ContentSequence") or []), content]


def _refer(data_set: Dataset, image: Dataset) -> None:
    data_set.ReferencedSeriesSequence = [_series_reference([image])]


def pack(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([program("scanpost-pack"), *map(str, arguments)], capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def pulled(study: Path) -> tuple[Path, dict]:
    """The study through a bundle with a bound, and what `decode` says of it."""
    bundle, folder = study.parent / "study.bundle", study.parent / "pulled"
    assert pack("encode", study, bundle, "--near", NEAR).returncode == 0
    decoded = pack("decode", bundle, folder, "--json")
    assert decoded.returncode == 0, decoded.stderr
    return folder, json.loads(decoded.stdout)


def test_every_instance_is_what_the_spec_makes_of_it(study: Path, pulled):
    folder, report = pulled
    result = compare.compare_folders([study], [folder])
    assert result.equal, result
    assert result.sent == IMAGES + 5 and result.bounded >= IMAGES - 1 and 0 < result.max_error <= NEAR
    assert result.max_error == max(series["max_error"] for series in report["series"])
    assert report["unpacked"] == {"derived": IMAGES, "remapped": 5, "unread": 0}


def test_references_lead_to_images_that_are_there(study: Path, pulled):
    folder, _ = pulled
    there = {str(data_set.SOPInstanceUID): data_set for data_set in map(pydicom.dcmread, compare.dicom_files([folder]))}
    gone = {str(data_set.SOPInstanceUID) for data_set in map(pydicom.dcmread, study.glob("*.dcm"))} - set(there)
    assert len(gone) == IMAGES
    for data_set in there.values():
        own = [item for item in data_set.get("SourceImageSequence") or []][-1:]
        named = [str(item.ReferencedSOPInstanceUID) for item in own]
        assert all(uid in gone for uid in named)
        found = re.findall(r"(?:2\.25|1\.2\.826)\.[0-9.]+", "\n".join(_uids(data_set)))
        assert not (set(found) - set(named)) & gone, data_set.Modality
    note = next(data_set for data_set in there.values() if data_set.Modality == "KO")
    series = note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    images = [there[str(item.ReferencedSOPInstanceUID)] for item in series.ReferencedSOPSequence]
    assert {str(image.SeriesInstanceUID) for image in images} == {str(series.SeriesInstanceUID)}


def _uids(data_set: Dataset) -> list[str]:
    return [str(element.value) for element in data_set.iterall() if element.VR == "UI"]


@pytest.mark.parametrize("change", ["pixel", "bound", "ground", "series", "method", "reference", "private", "statement"])
def test_comparison_fails_on(change: str, study: Path, pulled, tmp_path: Path):
    folder = tmp_path / "changed"
    shutil.copytree(pulled[0], folder)
    path = next(path for path in compare.dicom_files([folder]) if _is_bounded(path))
    data_set = pydicom.dcmread(path)
    make, words = CHANGES[change]
    make(data_set)
    data_set.save_as(path)
    result = compare.compare_folders([study], [folder])
    assert not result.equal and any(words in note for note in result.notes), result


def _is_bounded(path: Path) -> bool:
    said = derived.statement(pydicom.dcmread(path, stop_before_pixels=True))
    return said is not None and not said.exact


def _change_pixel(data_set: Dataset) -> None:
    """By one stored value: most likely still within the bound, but not what was decoded."""
    pixels = bytearray(data_set.PixelData)
    pixels[2000] ^= 1
    data_set.PixelData = bytes(pixels)


def _change_bound(data_set: Dataset) -> None:
    pixels = np.frombuffer(data_set.PixelData, "<u2").copy()
    pixels[1000] += 2 * NEAR + 1
    data_set.PixelData = pixels.tobytes()


def _change_ground(data_set: Dataset) -> None:
    """By one stored value, far within the bound."""
    data_set.PixelData = np.where(data_set.pixel_array == 0, 1, data_set.pixel_array).astype("<u2").tobytes()


def _change_statement(data_set: Dataset) -> None:
    data_set.DerivationDescription = re.sub(r"series \d+", "series 2", data_set.DerivationDescription)


def _change_reference(data_set: Dataset) -> None:
    data_set.ReferencedImageSequence[0].ReferencedSOPInstanceUID = data_set.SourceImageSequence[-1].ReferencedSOPInstanceUID


CHANGES = {
    "pixel": (_change_pixel, "not that of these pixels"),
    "bound": (_change_bound, f"off, {NEAR} allowed"),
    "ground": (_change_ground, "ground is not exact"),
    "series": (lambda data_set: setattr(data_set, "SeriesInstanceUID", "2.25.1"), "(0020,000e)"),
    "method": (lambda data_set: setattr(data_set, "LossyImageCompressionMethod", "ISO_14495_1"), "(0028,2114)"),
    "reference": (_change_reference, "(0008,1140)[1](0008,1155)"),
    "private": (lambda data_set: setattr(data_set[0x0029, 0x1018], "value", "OTHER"), "(0029,1018)"),
    "statement": (_change_statement, "a series states a largest error of"),
}


def test_exact_needs_the_residual(study: Path, tmp_path: Path):
    bundle = tmp_path / "bundle"
    assert pack("encode", study, bundle, "--near", NEAR).returncode == 0
    refused = pack("decode", bundle, tmp_path / "exact", "--exact")
    assert refused.returncode != 0 and "residual" in refused.stderr
    assert pack("encode", study, bundle, "--near", NEAR, "--residual").returncode == 0
    assert pack("decode", bundle, tmp_path / "exact", "--exact").returncode == 0
    for path in study.iterdir():
        assert (tmp_path / "exact" / path.name).read_bytes() == path.read_bytes(), path.name


def test_dciodvfy_finds_no_new_error(study: Path, pulled):
    """David Clunie's verifier against the IODs of PS3.3: the originals' own errors are known, no others may come."""
    harness.assert_no_new_errors((path, pulled[0] / path.name) for path in sorted(study.iterdir()))


def test_real_series(real_data: Path, tmp_path: Path, is_long: bool):
    names = [folder.name for folder in sorted(real_data.iterdir()) if folder.is_dir()]
    for name in names if is_long else names[:1]:
        sent, out = real_data / name, tmp_path / name
        assert pack("encode", sent, f"{out}.bundle", "--near", NEAR).returncode == 0
        assert pack("decode", f"{out}.bundle", out).returncode == 0
        result = compare.compare_folders([sent], [out])
        assert result.equal and result.max_error <= NEAR, (name, result)
