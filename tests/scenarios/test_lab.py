"""The lab itself: a comparison that cannot fail, or a study that changes, would make every other scenario worthless."""

import shutil
from pathlib import Path

import pydicom

from lab import compare
from lab.study import given, mr, multiframe


def test_comparison_sees_a_change_a_loss_and_an_addition(tmp_path: Path, ct_study: list[Path]):
    for path in ct_study[1:]:
        shutil.copy(path, tmp_path)
    changed = tmp_path / ct_study[3].name
    data_set = pydicom.dcmread(changed)
    pixels = bytearray(data_set.PixelData)
    pixels[1000] ^= 1
    data_set.PixelData = bytes(pixels)
    data_set.save_as(changed)
    added = pydicom.dcmread(ct_study[0])
    added.SOPInstanceUID = added.file_meta.MediaStorageSOPInstanceUID = "2.25.99"
    added.save_as(tmp_path / "added.dcm")
    result = compare.compare_folders(ct_study, [tmp_path])
    assert (result.missing, result.different, result.extra) == (1, 1, 1)
    assert result.identical == len(ct_study) - 2 and not result.equal
    assert result.notes == [f"{changed.name}: (7fe0,0010)"]


def test_comparison_looks_into_private_tags_and_names(tmp_path: Path, mr_study: list[Path]):
    data_set = pydicom.dcmread(mr_study[0])
    data_set[0x0029, 0x1018].value = "OTHER"
    data_set.PatientName = "Yamada^Tarou"
    data_set.save_as(tmp_path / "changed.dcm")
    found = compare.differences(pydicom.dcmread(mr_study[0]), pydicom.dcmread(tmp_path / "changed.dcm"))
    assert found == ["(0010,0010)", "(0029,1018)"]


def test_generated_study_is_the_same_for_the_same_seed(tmp_path: Path):
    for folder, seed in (("one", 3), ("two", 3), ("three", 4)):
        (tmp_path / folder).mkdir()
        mr.generate(tmp_path / folder, 8, seed)
    first, second, third = ([path.read_bytes() for path in sorted((tmp_path / folder).iterdir())] for folder in ("one", "two", "three"))
    assert first == second
    assert not set(first) & set(third)


def test_generated_study_is_a_head_mr(mr_study: list[Path]):
    data_sets = [pydicom.dcmread(path) for path in mr_study]
    assert len({data_set.SeriesInstanceUID for data_set in data_sets}) == 4
    assert len({data_set.StudyInstanceUID for data_set in data_sets}) == 1
    name = data_sets[0].PatientName
    assert (name.alphabetic, name.ideographic, name.phonetic) == ("Yamada^Tarou", "山田^太郎", "やまだ^たろう")
    assert b"\x1b$B" in mr_study[0].read_bytes()
    assert all(data_set.pixel_array.max() <= 4095 for data_set in data_sets)
    private = sum(len(data_set[0x0029, element].value) for data_set in data_sets[:1] for element in (0x1010, 0x1020))
    assert 60_000 <= private <= 100_000


def test_several_studies_become_one_and_nothing_else_changes(tmp_path: Path, mr_study: list[Path], ct_study: list[Path]):
    study = given.load([mr_study[0].parent, ct_study[0].parent], tmp_path / "sent")
    assert len(study.files) == len(mr_study) + len(ct_study)
    before = {path: pydicom.dcmread(path) for path in (*mr_study, *ct_study)}
    after = {data_set.SOPInstanceUID: data_set for data_set in map(pydicom.dcmread, study.files)}
    assert len({data_set.StudyInstanceUID for data_set in after.values()}) == 1
    assert study.rewritten in (len(mr_study), len(ct_study))
    for data_set in before.values():
        assert compare.differences(data_set, after[data_set.SOPInstanceUID]) in ([], ["(0020,000d)"])


def test_streamed_multiframe_is_the_same_object_as_the_file(tmp_path: Path):
    multiframe.generate(tmp_path, 3, seed=5)
    streamed = b"".join(multiframe.chunks(3, 5, with_meta=False))
    assert (tmp_path / "multiframe.dcm").read_bytes().endswith(streamed)
    assert pydicom.dcmread(tmp_path / "multiframe.dcm").pixel_array.shape == (3, 512, 512)
