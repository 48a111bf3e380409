"""Studies from folders: what is in them, and one study out of several."""

from dataclasses import dataclass
from pathlib import Path

import pydicom

from lab.compare import dicom_files


@dataclass
class Study:
    """Files as they will be sent."""

    files: list[Path]
    folders: list[Path]
    rewritten: int = 0

    @property
    def file_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files)


def load(folders: list[Path], scratch: Path) -> Study:
    """The study in the folders. Several Study Instance UIDs become the first one; nothing else changes (copies go to `scratch`)."""
    files = dicom_files(folders)
    if not files:
        raise SystemExit(f"no DICOM files in {', '.join(map(str, folders))}")
    uids = {path: _study_uid(path) for path in files}
    wanted = uids[files[0]]
    if set(uids.values()) == {wanted}:
        return Study(files, folders)
    scratch.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(files):
        data_set = pydicom.dcmread(path)
        data_set.StudyInstanceUID = wanted
        data_set.save_as(scratch / f"{number:05d}.dcm")
    return Study(sorted(scratch.glob("*.dcm")), [scratch], sum(uid != wanted for uid in uids.values()))


def _study_uid(path: Path) -> str:
    return str(pydicom.dcmread(path, specific_tags=["StudyInstanceUID"], stop_before_pixels=True).get("StudyInstanceUID", ""))
