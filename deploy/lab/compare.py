"""Compares pulled instances with what was sent, element by element, without ever printing a value.

An instance is as sent, or it says that it was compressed within a bound: then it must be exactly what docs/spec-bundle.md 6
makes of the one sent, its pixels within the stated bound, and the largest error of each series the stated one.

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

from lab import derived

DIFFERENCES_SHOWN = 20
# For each pulled series: what its images state as its largest error, and what was found in each.
Errors = dict[str, tuple[set[int], list[int]]]


@dataclass
class Result:
    """Numbers of files; `identical` counts sent files that were pulled with all elements equal, or within their stated bound:
    `bounded` of them have pixels that are not those sent, by at most `max_error` stored values."""

    sent: int = 0
    pulled: int = 0
    identical: int = 0
    different: int = 0
    missing: int = 0
    extra: int = 0
    bounded: int = 0
    max_error: int = 0
    overstated: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return self.sent > 0 and self.identical == self.sent and not self.extra and not self.overstated

    def note(self, text: str) -> None:
        if len(self.notes) < DIFFERENCES_SHOWN:
            self.notes.append(text)


def compare_folders(sent: list[Path], pulled: list[Path]) -> Result:
    """Matches by SOP Instance UID, derived images by that of their source. Several files with one UID are matched by content."""
    result = Result()
    given = by_uid(sent, result)
    waiting, names = _by_source(by_uid(pulled, result), given)
    result.pulled = sum(map(len, waiting.values()))
    matched: set[Path] = set()
    errors: Errors = {}
    for uid, paths in given.items():
        for path in paths:
            result.sent += 1
            _compare_one(path, waiting.get(uid, []), matched, names, errors, result)
    for stated, found in errors.values():
        if stated != {max(found)}:
            result.overstated += 1
            result.note(f"a series states a largest error of {sorted(stated)}, {max(found)} was found")
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


def _by_source(pulled: dict[str, list[Path]], sent: dict[str, list[Path]]) -> tuple[dict[str, list[Path]], dict[str, str]]:
    """Pulled files by the UID under which they were sent, and new UIDs of instances and series by those they were sent under."""
    found, names = defaultdict(list), {}
    for uid, paths in pulled.items():
        for path in paths:
            header = pydicom.dcmread(path, stop_before_pixels=True)
            said = derived.statement(header) if uid not in sent else None
            found[said.source if said else uid].append(path)
            if said and said.source in sent:
                source = pydicom.dcmread(sent[said.source][0], specific_tags=["SeriesInstanceUID"], stop_before_pixels=True)
                names.setdefault(said.source, uid)
                names.setdefault(str(source.get("SeriesInstanceUID", "")), str(header.get("SeriesInstanceUID", "")))
    return found, names


def differences(left: Dataset, right: Dataset) -> list[str]:
    """Tags that are not equal, with where they lie in sequences."""
    same_order = left.original_encoding[1] == right.original_encoding[1]
    found: list[str] = []
    _compare_sets(left, right, "", same_order, found)
    return found


def _compare_one(path: Path, candidates: list[Path], matched: set[Path], names: dict[str, str], errors: Errors, result: Result) -> None:
    if not candidates:
        result.missing += 1
        return
    shortest: list[str] | None = None
    for candidate in candidates:
        sent, pulled = pydicom.dcmread(path), pydicom.dcmread(candidate)
        said = derived.statement(pulled) if str(pulled.SOPInstanceUID) != str(sent.SOPInstanceUID) else None
        found = _faults(sent, pulled, said, names)
        if not found:
            matched.add(candidate)
            result.identical += 1
            _count(pulled, said, errors, result)
            return
        shortest = found if shortest is None or len(found) < len(shortest) else shortest
    result.different += 1
    result.note(f"{path.name}: {', '.join(shortest[:5])}")


def _faults(sent: Dataset, pulled: Dataset, said: derived.Statement | None, names: dict[str, str]) -> list[str]:
    if said is None:
        # Only where something was renamed: pydicom's parsing of every value would hide how it was written.
        return differences(derived.renamed(sent, names) if names else sent, pulled)
    faults = derived.pixel_faults(sent, pulled, said) + derived.name_faults(pulled, said)
    sent, series = derived.renamed(sent, names), str(sent.SeriesInstanceUID)
    if str(pulled.SeriesInstanceUID) != names[series]:
        faults.append("not in the series of the others")
    sent.PixelData = pulled.PixelData
    return faults + differences(derived.expected(sent, pulled, said), pulled)


def _count(pulled: Dataset, said: derived.Statement | None, errors: Errors, result: Result) -> None:
    if said is None or said.exact:
        return
    result.bounded += 1
    result.max_error = max(result.max_error, said.error)
    stated, found = errors.setdefault(str(pulled.SeriesInstanceUID), (set(), []))
    stated.add(said.stated_error)
    found.append(said.error)


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
