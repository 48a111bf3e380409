"""Compares pulled instances with what was sent, element by element, without ever printing a value.

Not compared: the meta group, which each receiver writes afresh (PS3.10 7.1), and group lengths, which are retired (PS3.5 7.2).
"""

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

DIFFERENCES_SHOWN = 20


@dataclass
class Result:
    """Numbers of files; `identical` counts sent files that were pulled with all elements equal."""

    sent: int = 0
    pulled: int = 0
    identical: int = 0
    different: int = 0
    missing: int = 0
    extra: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return self.sent > 0 and self.identical == self.sent and not self.extra

    def note(self, text: str) -> None:
        if len(self.notes) < DIFFERENCES_SHOWN:
            self.notes.append(text)


def compare_folders(sent: list[Path], pulled: list[Path]) -> Result:
    """Matches by SOP Instance UID. Several files with one UID are matched by content."""
    result = Result()
    waiting = by_uid(pulled, result)
    result.pulled = sum(map(len, waiting.values()))
    matched: set[Path] = set()
    for uid, paths in by_uid(sent, result).items():
        for path in paths:
            result.sent += 1
            _compare_one(path, waiting.get(uid, []), matched, result)
    extra = [path for paths in waiting.values() for path in paths if path not in matched]
    result.extra = max(0, len(extra) - result.different)
    return result


def dicom_files(folders: list[Path]) -> list[Path]:
    """All Part 10 files below the folders; licences and other company are passed over."""
    files = sorted({path for folder in folders for path in ([folder] if folder.is_file() else folder.rglob("*")) if path.is_file()})
    return [path for path in files if _has_prefix(path)]


def by_uid(folders: list[Path], result: Result) -> dict[str, list[Path]]:
    """Files by SOP Instance UID."""
    found = defaultdict(list)
    for path in dicom_files(folders):
        try:
            header = pydicom.dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
            found[str(header.SOPInstanceUID)].append(path)
        except (InvalidDicomError, AttributeError, OSError, ValueError) as error:
            result.note(f"unreadable: {type(error).__name__}")
    return found


def differences(left: Dataset, right: Dataset) -> list[str]:
    """Tags that are not equal, with where they lie in sequences."""
    same_order = left.original_encoding[1] == right.original_encoding[1]
    found: list[str] = []
    _compare_sets(left, right, "", same_order, found)
    return found


def _compare_one(path: Path, candidates: list[Path], matched: set[Path], result: Result) -> None:
    if not candidates:
        result.missing += 1
        return
    shortest: list[str] | None = None
    for candidate in candidates:
        found = differences(pydicom.dcmread(path), pydicom.dcmread(candidate))
        if not found:
            matched.add(candidate)
            result.identical += 1
            return
        shortest = found if shortest is None or len(found) < len(shortest) else shortest
    result.different += 1
    result.note(f"{path.name}: {', '.join(shortest[:5])}")


def _compare_sets(left: Dataset, right: Dataset, where: str, same_order: bool, found: list[str]) -> None:
    tags = {tag for tag in (*left.keys(), *right.keys()) if tag.element != 0}
    for tag in sorted(tags):
        name = f"{where}({tag.group:04x},{tag.element:04x})"
        if tag not in left or tag not in right:
            found.append(f"{name} only {'sent' if tag in left else 'pulled'}")
        elif _is_sequence(left, tag) or _is_sequence(right, tag):
            _compare_sequences(left, right, tag, name, same_order, found)
        elif not _same_value(left, right, tag, same_order):
            found.append(name)


def _compare_sequences(left: Dataset, right: Dataset, tag, name: str, same_order: bool, found: list[str]) -> None:
    # Asking by [] parses what was kept as bytes.
    items = left[tag], right[tag]
    if any(item.VR != "SQ" for item in items) or len(items[0].value) != len(items[1].value):
        found.append(name)
        return
    for number, (one, other) in enumerate(zip(items[0].value, items[1].value), start=1):
        _compare_sets(one, other, f"{name}[{number}]", same_order, found)


def _same_value(left: Dataset, right: Dataset, tag, same_order: bool) -> bool:
    one, other = left.get_item(tag), right.get_item(tag)
    if same_order and isinstance(one, RawDataElement) and isinstance(other, RawDataElement):
        # None and b"" are both the empty value.
        return (one.value or b"") == (other.value or b"") and _same_kind(one.VR, other.VR)
    return left[tag].value == right[tag].value


def _same_kind(one: str | None, other: str | None) -> bool:
    # Implicit VR has none, and UN stands for any (PS3.5 6.2.2).
    return one == other or None in (one, other) or "UN" in (one, other)


def _is_sequence(data_set: Dataset, tag) -> bool:
    item = data_set.get_item(tag)
    return item.VR == "SQ" or (item.VR is None and data_set[tag].VR == "SQ")


def _has_prefix(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def main() -> int:
    parser = argparse.ArgumentParser(prog="compare-instances", description=__doc__.splitlines()[0])
    parser.add_argument("--sent", type=Path, action="append", required=True, help="file or folder; may be repeated")
    parser.add_argument("--pulled", type=Path, action="append", required=True)
    parser.add_argument("--json", type=Path, help="write the result there too")
    arguments = parser.parse_args()
    result = compare_folders(arguments.sent, arguments.pulled)
    text = json.dumps(asdict(result), indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    return 0 if result.equal else 1


if __name__ == "__main__":
    sys.exit(main())
