"""Pictures that came compressed and are carried as they came: decoded on the telephone, one frame at a time, and seen as pydicom decodes the same file."""

import io
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from lab.bundle_fixture import CODESTREAMS
from playwright.sync_api import Route, expect
from PIL import Image
from pydicom.encaps import encapsulate

from test_app_values import package_objects
from test_app_viewer import apart, image, show, until, wasm  # noqa: F401

# Of JPEG with loss each decoder may round its cosines otherwise (ISO/IEC 10918-2): levels of 256.
COSINES_APART_MAX = 4
WITH_COSINES = "1.2.840.10008.1.2.4.50"
WITH_LOSS_2000 = "1.2.840.10008.1.2.4.91"
OBJECTS_MIN = 23
DAMAGED = "viewer.pictures.damaged(viewer.pane.stack, viewer.pane.place)"
LOOP_FRAMES, LOOP_ROWS, LOOP_COLUMNS = 120, 240, 320


def frame(number: int) -> bytes:
    """One of a loop of ultrasound in colour: a bar that goes across."""
    y, x = np.mgrid[:LOOP_ROWS, :LOOP_COLUMNS]
    grey = 90 + 60 * np.sin(x / 9) * np.cos(y / 11)
    bar = np.abs(x - number * LOOP_COLUMNS / LOOP_FRAMES) < 12
    colours = np.stack([np.where(bar, 230, grey), grey, np.where(bar, 40, grey)], 2).clip(0, 255).astype(np.uint8)
    held = io.BytesIO()
    Image.fromarray(colours).save(held, "JPEG", quality=92, subsampling="4:2:2")
    return held.getvalue()


def loop(folder: Path, spoil: dict[int, bytes] | None = None, **elements: object) -> None:
    """A loop as a scanner writes it: JPEG baseline with half of the colours' columns; some frames replaced."""
    pixels = np.zeros((LOOP_ROWS * LOOP_FRAMES, LOOP_COLUMNS, 3), np.uint8)
    image(folder, "loop.dcm", "LOOP", pixels, 1, LOOP_FRAMES, **{"Modality": "US", "FrameTime": 40, "PhotometricInterpretation": "YBR_FULL_422", **elements})
    one = pydicom.dcmread(folder / "loop.dcm")
    one.PixelData = encapsulate([(spoil or {}).get(number) or frame(number) for number in range(LOOP_FRAMES)])
    one["PixelData"].VR, one["PixelData"].is_undefined_length = "OB", True
    one.file_meta.TransferSyntaxUID = WITH_COSINES
    one.save_as(folder / "loop.dcm", enforce_file_format=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "carried"
    made.mkdir()
    return made


@pytest.mark.filterwarnings("ignore")
def test_what_came_compressed_is_seen_as_pydicom_decodes_it(show, folder: Path, tmp_path: Path):  # noqa: F811
    syntaxes = package_objects(folder, CODESTREAMS)
    shown, found, unseen, refused = show(folder), [], [], []
    strip = shown.page.locator(".strip")
    for one in shown.told["series"]:
        name, (layout,) = one["banner"].get("series_description", "?"), one["layout"]
        if layout is None:
            unseen.append(name)
            continue
        strip.get_by_role("button", name=f"Series {name}").click()
        until(lambda: shown.page.evaluate(f"({DAMAGED}) || !!viewer.pictures.picture(viewer.pane.stack, viewer.pane.place)?.full"))
        if shown.page.evaluate(DAMAGED):
            refused.append(name)
            continue
        shown.double_tap()
        seen, greys, certain = apart(shown, "pixels")
        differences = np.abs(seen - greys)
        found.append((differences.max(), differences[certain].max(), layout["photometric"], layout["stored"], layout["frames"], syntaxes[name], name))
        shown.page.screenshot(path=tmp_path / f"{name}.png")
    print("levels apart at most, where no rounding decides, of", *map(str, sorted(found, key=lambda one: one[:2], reverse=True)), "refused:", *refused, "no picture here:", *unseen, sep="\n")
    # A codestream in a container (PS3.5 A.4.4 knows none), and one whose sign is not that of its data set.
    assert sorted(refused) == ["GDCMJ2K_TextGBR,", "J2K_pixelrep_mismatch,"] and len(found) >= OBJECTS_MIN
    exact = [one for one in found if one[5] not in (WITH_COSINES, WITH_LOSS_2000)]
    assert max(one[0] for one in exact) <= 1 and max(one[1] for one in exact) == 0
    assert max(one[0] for one in found) <= COSINES_APART_MAX


def test_frames_of_a_loop_are_fetched_and_decoded_one_by_one(show, folder: Path):  # noqa: F811
    loop(folder)
    shown = show(folder)
    shown.here()
    for place in (LOOP_FRAMES // 2, 0, LOOP_FRAMES - 1, 17):
        shown.go(place, LOOP_FRAMES)
        seen, greys, _ = apart(shown, "fit")
        assert np.ptp(seen) > 100 and np.abs(seen - greys).max() <= COSINES_APART_MAX, place
    shown.whole()
    own = shown.told["series"][0]["slabs"]
    assert len(own) == LOOP_FRAMES and all(len(slab["pixels"]) == 1 for slab in own), "no segment has bytes of two frames"


def test_what_the_markers_say_of_colours_counts_as_with_pydicom(show, folder: Path):  # noqa: F811
    """The data set says RGB, and JFIF says luminance and colour differences."""
    loop(folder, PhotometricInterpretation="RGB")
    shown = show(folder)
    shown.here()
    shown.go(30, LOOP_FRAMES)
    seen, greys, _ = apart(shown, "fit")
    assert np.ptp(seen) > 100 and np.abs(seen - greys).max() <= COSINES_APART_MAX


def test_images_of_a_shown_series_that_cannot_be_decoded_are_counted(show, folder: Path):  # noqa: F811
    """Of two loops in a series one has two fragments a frame and no table that says which."""
    loop(folder)
    one = pydicom.dcmread(folder / "loop.dcm")
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"{one.SOPInstanceUID}.1"
    one.InstanceNumber = 2
    one.PixelData = encapsulate([frame(number) for number in range(LOOP_FRAMES)], fragments_per_frame=2, has_bot=False)
    one.save_as(folder / "other.dcm", enforce_file_format=True)
    shown = show(folder)
    shown.here()
    assert shown.page.evaluate("viewer.pane.stack.frames.length") == LOOP_FRAMES
    expect(shown.page.locator(".strip")).to_contain_text("1 images of these series cannot be shown here")


def test_a_bit_that_lies_elsewhere_is_not_shown(show, folder: Path):  # noqa: F811
    """High Bit 15 of 12 stored: a codestream has its samples in the low bits, and the data set says otherwise."""
    source = next(path for path in sorted((Path(pydicom.__file__).parent / "data/test_files").glob("MR_small_RLE.dcm")))
    one = pydicom.dcmread(source)
    one.BitsStored, one.HighBit = 12, 15
    one.SeriesDescription = "HIGH"
    one.save_as(folder / "high.dcm")
    expect(show(folder).page.locator(".state")).to_contain_text("cannot be read: it is not shown")


# What ends in the middle, is no picture, or says that it is larger than what it stands for.
SPOILT = {"cut": lambda one: one[:200], "noise": lambda one: bytes(range(256)) * 8, "larger": lambda one: one.replace(b"\x08\x00\xf0\x01\x40", b"\x08\xff\xff\xff\xff", 1)}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_damaged_frame_is_said_and_the_others_are_seen(show, folder: Path, kind: str):  # noqa: F811
    damaged = SPOILT[kind](frame(10))
    assert damaged != frame(10)
    loop(folder, {10: damaged})
    shown = show(folder)
    shown.here()
    shown.go(10, LOOP_FRAMES)
    expect(shown.page.locator(".state")).to_contain_text("damaged")
    for place in (9, 11, 60):
        shown.go(place, LOOP_FRAMES)
        shown.here()
        assert np.ptp(shown.screen()) > 100
    assert not shown.page.refused


def test_without_the_decoder_it_is_said_and_tried_again(show, folder: Path):  # noqa: F811
    loop(folder)
    tries = []

    def refuse(route: Route) -> None:
        tries.append(route)
        if len(tries) == 1:
            route.abort()
        else:
            route.continue_()
    shown = show(folder, before=lambda page: page.route("**/pictures.wasm", refuse))
    expect(shown.page.locator(".stage")).to_be_visible()
    until(lambda: shown.page.evaluate("!!viewer.pictures.trouble"))
    refused_at = time.monotonic()
    until(lambda: not shown.page.evaluate("!!viewer.pictures.trouble"))
    shown.go(3, LOOP_FRAMES)
    assert time.monotonic() - refused_at > 1, "it does not ask without a pause"
    shown.here()
    assert len(tries) == 2
