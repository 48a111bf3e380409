"""From stored values to greys and colours: modality and VOI tables, the functions of a window, palettes, odd bits. On the screen is what pydicom and
DCMTK make of the same file."""

import re
import subprocess
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from playwright.sync_api import expect
from pydicom.errors import InvalidDicomError
from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array

from test_app_viewer import apart, image, meant, series, show, wasm  # noqa: F401

# Squares of one value each, so that each value is seen without its neighbours.
SQUARES, SIDE = 16, 16
# DCMTK cuts where others round.
GREYS_APART_MAX = 1
OBJECTS_MIN = 40


def lut(entries: np.ndarray, first: int, bits: int, vr: str = "US") -> pydicom.Sequence:
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", vr, [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return pydicom.Sequence([item])


def palette(bits: int, first: int, reds: bytes, greens: bytes, blues: bytes, count: int, kind: str = "") -> dict:
    elements = {}
    for name, data in (("Red", reds), ("Green", greens), ("Blue", blues)):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [count, first, bits]
        elements[f"{kind}{name}PaletteColorLookupTableData"] = data
    return elements | {"PhotometricInterpretation": "PALETTE COLOR"}


def words(values: np.ndarray) -> bytes:
    return values.astype("<u2").tobytes()


RAMP = np.arange(256)
CURVE = (4095 * (np.arange(4096) / 4095) ** 0.5).round()
S_SHAPE = (1023 / (1 + np.exp(-(np.arange(1000) - 500) / 90))).round()
# Red in two pieces, green straight up, blue in steps; by discrete and linear segments.
SEGMENTS = [np.array([0, 2, 0, 9, 1, 126, 30000, 1, 128, 65535]), np.array([0, 1, 0, 1, 255, 65535]), np.array([0, 4, 1, 2, 3, 4, 1, 124, 4, 1, 128, 40000])]
U12 = np.linspace(0, 4095, SQUARES**2).round().astype(np.uint16)
S12 = np.linspace(-2048, 2047, SQUARES**2).round().astype(np.int16)
U8 = RAMP.astype(np.uint8)
# Values, elements.
KINDS = {
    "MODALITY": (U12, {"BitsStored": 12, "ModalityLUTSequence": lut(CURVE, 0, 16), "WindowCenter": 2500, "WindowWidth": 3000}),
    "MODALITY FROM": (U12, {"BitsStored": 12, "ModalityLUTSequence": lut(CURVE[:3000], 600, 16), "WindowCenter": 2000, "WindowWidth": 4000}),
    "VOI": (U12, {"BitsStored": 12, "VOILUTSequence": lut(S_SHAPE, 1500, 10), "WindowCenter": 9, "WindowWidth": 9}),
    "VOI BELOW ZERO": (U12, {"BitsStored": 12, "RescaleSlope": 1, "RescaleIntercept": -1024, "VOILUTSequence": lut(S_SHAPE, -300, 10, "SS")}),
    "SIGMOID": (S12, {"BitsStored": 12, "RescaleSlope": 2, "RescaleIntercept": 10, "WindowCenter": 200, "WindowWidth": 2500, "VOILUTFunction": "SIGMOID"}),
    "EXACT": (S12, {"BitsStored": 12, "RescaleSlope": 0.5, "RescaleIntercept": 0, "WindowCenter": 0.25, "WindowWidth": 200.5, "VOILUTFunction": "LINEAR_EXACT"}),
    "INVERSE": (U12, {"BitsStored": 12, "WindowCenter": 2000, "WindowWidth": 4000, "PresentationLUTShape": "INVERSE"}),
    "MONO1 INVERSE": (U12, {"BitsStored": 12, "WindowCenter": 2000, "WindowWidth": 4000, "PresentationLUTShape": "INVERSE", "PhotometricInterpretation": "MONOCHROME1"}),
    "XA LOG": (U12, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.12.1", "BitsStored": 12, "PixelIntensityRelationship": "LOG", "ModalityLUTSequence": lut(CURVE, 0, 16),
                     "WindowCenter": 2048, "WindowWidth": 4096}),
    "VOI SLOPED": (U12, {"BitsStored": 12, "RescaleSlope": -1, "RescaleIntercept": 0, "VOILUTSequence": lut(S_SHAPE, -2600, 10, "SS")}),
    "VOI RAISED": (S12, {"BitsStored": 12, "RescaleSlope": 1, "RescaleIntercept": 40960, "VOILUTSequence": lut(S_SHAPE, 40500, 10)}),
    "PADDED": (S12, {"BitsStored": 12, "PixelPaddingValue": int(S12[0]), "WindowCenter": 0, "WindowWidth": 4096, "PresentationLUTShape": "INVERSE"}),
    "HIGH BIT": (U12 << 2, {"BitsStored": 12, "HighBit": 13, "WindowCenter": 2048, "WindowWidth": 4096}),
    "PALETTE 8": (U8, palette(8, 0, bytes(255 - RAMP.astype(np.uint8)), bytes(RAMP.astype(np.uint8)), bytes((RAMP * 7 % 256).astype(np.uint8)), 256)),
    "PALETTE 16": (U8, palette(16, 100, words(RAMP[:100] * 655), words(65535 - RAMP[:100] * 600), words(RAMP[:100] * 300), 100)),
    "PALETTE SEGMENTED": (U8, palette(16, 0, *map(words, SEGMENTS), 256, "Segmented")),
}


def write(folder: Path, name: str) -> Path:
    values, elements = KINDS[name]
    squares = np.kron(values.reshape(SQUARES, SQUARES), np.ones((SIDE, SIDE), values.dtype))
    image(folder, f"{name}.dcm", name, squares, 1, **elements)
    return folder / f"{name}.dcm"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("values")
    for name in KINDS:
        write(folder, name)
    return folder


def by_pydicom(file: pydicom.Dataset) -> np.ndarray:
    """Red, green, blue of each square, 0 to 255."""
    words = np.frombuffer(file.PixelData, f"{'i' if file.PixelRepresentation else 'u'}{file.BitsAllocated // 8}").reshape(file.Rows, file.Columns)
    # pydicom takes the low bits, wherever High Bit lies.
    stored = words[SIDE // 2::SIDE, SIDE // 2::SIDE] >> (file.HighBit + 1 - file.BitsStored)
    if file.PhotometricInterpretation == "PALETTE COLOR":
        return meant(file, stored, {})
    if "PixelIntensityRelationship" in file:
        del file.ModalityLUTSequence
    values = apply_modality_lut(stored, file)
    if "VOILUTSequence" in file:
        greys = apply_voi_lut(values, file) / (2 ** file.VOILUTSequence[0].LUTDescriptor[2] - 1)
    else:
        # pydicom gives them within the range of the values that can be.
        signed, bits = bool(file.PixelRepresentation), 16 if "ModalityLUTSequence" in file else file.BitsStored
        least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        if "ModalityLUTSequence" not in file:
            least, most = (value * float(file.get("RescaleSlope", 1)) + float(file.get("RescaleIntercept", 0)) for value in (least, most))
        greys = (apply_voi_lut(values, file) - least) / (most - least)
    inverse = file.PhotometricInterpretation == "MONOCHROME1" or file.get("PresentationLUTShape") == "INVERSE"
    shown = np.where(stored == file.get("PixelPaddingValue", 1 << 20), 0, 1 - greys if inverse else greys)
    return np.repeat((255 * shown).round()[..., None], 3, axis=2)


def by_dcmtk(file: Path, folder: Path) -> np.ndarray:
    picture = folder / "picture.pnm"
    has_table = "VOILUTSequence" in pydicom.dcmread(file, stop_before_pixels=True)
    options = [] if "PALETTE" in file.name else ["+Wl", "1"] if has_table else ["+Wi", "1"]
    subprocess.run(["dcm2pnm", "+op", *options, file, picture], check=True, capture_output=True)
    return np.asarray(Image.open(picture).convert("RGB")).astype(int)[SIDE // 2::SIDE, SIDE // 2::SIDE]


def seen(shown) -> np.ndarray:
    """The middle of each square on the screen."""
    screen, view = shown.screen(), shown.page.evaluate("viewer.pane.view")
    rows, columns = (np.round(start + (np.arange(SQUARES) + 0.5) * SIDE * view["scale"] * ratio).astype(int)
                     for start, ratio in ((view["top"], view["aspect"]), (view["left"], 1)))
    return screen[np.ix_(rows, columns)]


def test_greys_and_colours_are_those_of_pydicom_and_dcmtk(show, files: Path, tmp_path: Path):  # noqa: F811
    shown, most = show(files), {}
    for name in KINDS:
        series(shown, f"Series {name},")
        expected, on_screen = by_pydicom(pydicom.dcmread(files / f"{name}.dcm")), seen(shown)
        assert np.ptp(expected) > 200, "a picture without contrast proves nothing"
        most[name] = [np.abs(on_screen - expected).max()]
        # DCMTK reads no segments, and shows padding as any value.
        if name not in ("PALETTE SEGMENTED", "PADDED"):
            most[name].append(np.abs(on_screen - by_dcmtk(files / f"{name}.dcm", tmp_path)).max())
        shown.page.screenshot(path=tmp_path / f"{name}.png")
    print("greys apart from pydicom and DCMTK:", *sorted(most.items(), key=lambda one: -max(one[1])), sep="\n")
    assert max(max(one) for one in most.values()) <= GREYS_APART_MAX, most


def test_no_colour_is_seen_that_is_not_between_two_of_the_palette(show, tmp_path: Path):  # noqa: F811
    """Indices 0 and 255 beside each other: what lies between is no colour of the indices between."""
    folder = tmp_path / "two"
    folder.mkdir()
    reds = np.full(256, 255, np.uint8)
    reds[[0, 255]] = 0
    stripes = np.tile(np.repeat(np.array([0, 255], np.uint8), 5), (200, 20))
    image(folder, "two.dcm", "TWO", stripes, 1, **palette(8, 0, bytes(reds), bytes(RAMP.astype(np.uint8)), bytes(256), 256))
    shown = show(folder)
    shown.here()
    screen = shown.screen()
    assert screen[..., 1].max() == 255 and screen[..., 0].max() == 0


def test_a_table_of_the_image_counts_until_the_doctor_takes_a_window(show, files: Path):  # noqa: F811
    shown = show(files)
    series(shown, "Series VOI,")
    expect(shown.page.locator(".corner")).to_contain_text("VOI LUT")
    before = seen(shown)
    shown.page.get_by_role("button", name="Window", exact=True).click()
    shown.drag(40, 0)
    expect(shown.page.locator(".corner")).to_contain_text(re.compile(r"W \d+ +L \d+"))
    assert np.abs(seen(shown) - before).max() > 3
    shown.page.get_by_role("button", name="As sent").click()
    expect(shown.page.locator(".corner")).to_contain_text("VOI LUT")
    assert np.array_equal(seen(shown), before)


def test_an_image_whose_values_cannot_be_read_is_not_shown(show, files: Path):  # noqa: F811
    unread = {"MODALITY": {"tablesKnown": False}, "PALETTE 8": {"highBit": 15}, "SIGMOID": {"voiFunction": "constructor"}}

    def spoil(told: dict) -> None:
        for one, (geometry,) in zip(told["series"], told["geometries"], strict=True):
            geometry.update(unread.get(one["banner"]["series_description"], {}))
    shown = show(files, change=spoil)
    for name in unread:
        shown.page.get_by_role("button", name=f"Series {name},").click()
        expect(shown.page.locator(".state")).to_contain_text("cannot be read: it is not shown")
        assert shown.page.evaluate("viewer.pane.canvas.dataset.shown") == "nothing"
    series(shown, "Series EXACT,")


def package_objects(folder: Path, carried: Collection[str] | None = None) -> dict[str, str]:
    """pydicom's own files that it can decode, each a series of its own by the file's name, and the transfer syntax that it came in: all of them, compressed ones
    as pydicom decodes them, or those of some syntaxes as they are."""
    found = {}
    for path in sorted((Path(pydicom.__file__).parent / "data/test_files").glob("*.dcm")):
        try:
            one = pydicom.dcmread(path)
            syntax = one.file_meta.TransferSyntaxUID
            if carried is not None and syntax not in carried:
                continue
            if carried is None and syntax.is_encapsulated:
                one.decompress()
            pixel_array(one, index=0)
            number = len(found) + 1
            one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}.1"
            one.StudyInstanceUID, one.SeriesInstanceUID, one.SeriesDescription, one.InstanceNumber = "1.2.3", f"1.2.3.{number}", f"{path.stem},", number
            one.PatientName, one.PatientID = "Test^One", "T-1"
            # One whose text cannot be written is there all the same, cut in its middle.
            found[one.SeriesDescription] = str(syntax)
            one.save_as(folder / path.name)
        except (AttributeError, InvalidDicomError, NotImplementedError, RuntimeError, TypeError, ValueError, Image.DecompressionBombError) as error:
            print(f"not decoded by pydicom: {path.name}: {str(error).splitlines()[0]}")
    return found


@pytest.mark.filterwarnings("ignore")
def test_objects_of_many_kinds_are_seen_as_pydicom_decodes_them_or_counted(show, tmp_path: Path):  # noqa: F811
    folder = tmp_path / "objects"
    folder.mkdir()
    count = len(package_objects(folder))
    shown = show(folder)
    strip, found, unseen, hidden = shown.page.locator(".strip"), [], [], []
    for one in shown.told["series"]:
        name, (layout,) = one["banner"].get("series_description", "?"), one["layout"]
        button = strip.get_by_role("button", name=f"Series {name}")
        if layout is None:
            assert button.count() == 0
            unseen.append(name)
            continue
        button.click()
        if layout["bigEndian"] and layout["bits"] == 8:
            expect(shown.page.locator(".state")).to_contain_text("cannot be read: it is not shown")
            hidden.append(name)
            continue
        shown.double_tap()
        seen, greys, certain = apart(shown, "pixels")
        found.append((np.abs(seen - greys).max(), np.abs(seen - greys)[certain].max(), one["modality"], layout["photometric"], layout["stored"], name))
    print("greys apart at most, where no rounding decides, of", *map(str, sorted(found, key=lambda one: one[:2], reverse=True)), "no picture here:", *unseen, *hidden, sep="\n")
    expect(strip).to_contain_text(f"{len(unseen)} more that cannot be shown here")
    assert len(found) >= OBJECTS_MIN and len(found) + len(unseen) + len(hidden) == count
    assert max(one[0] for one in found) <= GREYS_APART_MAX and max(one[1] for one in found) == 0
