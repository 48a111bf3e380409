"""The app's viewer alone, with a bundle from a file: what is on the screen is what was decoded, and fingers do what they should."""

import base64
import io
import json
import subprocess
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from lab import bundle_fixture
from lab.bundle_fixture import Server
from lab.programs import TOP, program
from PIL import Image
from peers.memory import Renderers
from playwright.sync_api import Browser, Page, expect
from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array

import harness

WAIT_MS = 60_000
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
RATIO = 2
WEB = TOP / "reader" / "web"
APP = Path(__file__).parent / "app"
# A grey may be rounded the other way where the exact value lies within this of the boundary: the shader counts in 32 bits. Places are
# off by so many pixels at most (a thousand pixels in 24 bits), which weighs as much as the taps differ.
NEAR_HALF = 0.02
PLACE_ERROR = 1e-4
# A stack that is longer than what is kept decoded (viewer/pictures.js), and the whole page's room.
STACK, PICTURE_BYTES, DECODED_BYTES_MAX, MEMORY_MIB_MAX = 110, 2 * 512 * 512, 48 << 20, 256


@pytest.fixture(scope="session")
def wasm() -> Path:
    """The committed decoder, else one that reader/wasm/build makes."""
    if (WEB / "wasm" / "simd.wasm").exists():
        return WEB / "wasm"
    folder = TOP / "target" / "wasm"
    for kind in ("simd", "plain"):
        if not (folder / f"{kind}.wasm").exists():
            subprocess.run([TOP / "reader" / "wasm" / "build", kind, folder / f"{kind}.wasm"], check=True)
    return folder


@dataclass
class Shown:
    """A packed study in a viewer."""

    page: Page
    told: dict
    decoded: Path

    def here(self) -> None:
        expect(self.page.locator("canvas[data-shown=full]")).to_be_visible(timeout=WAIT_MS)

    def whole(self) -> None:
        """All of the study is here."""
        self.here()
        until(lambda: self.page.evaluate("viewer.pictures.progress.here === viewer.pictures.progress.all"))

    def go(self, place: int, of: int) -> None:
        """To an image of the series, by its place."""
        self.page.evaluate(f"viewer.show({place})")
        expect(self.page.locator(".corner")).to_contain_text(f"{place + 1} / {of}")

    def frame(self) -> dict:
        """Which frame the viewer says it shows."""
        return self.page.evaluate("({instance: viewer.pane.frame.instance, frame: viewer.pane.frame.frame, series: viewer.pane.stack.index})")

    def geometry(self) -> dict:
        """Of the frame that it shows, as its file says."""
        at = self.frame()
        told = self.told["geometries"][at["series"]][at["instance"]]
        return told["frames"][at["frame"]] if "frames" in told else told

    def screen(self) -> np.ndarray:
        """The canvas as it is on the screen, words hidden. A busy machine brings a picture to the screen later than the script drew it: it is
        waited for until the screen shows what the canvas holds."""
        self.page.evaluate("document.activeElement.blur(); document.querySelectorAll('.stage > :not(canvas)').forEach(one => one.style.visibility = 'hidden')")
        deadline = time.monotonic() + WAIT_MS / 1000
        while True:
            sides = [side * RATIO for side in self.page.evaluate("(box => [box.left, box.top, box.right, box.bottom])(viewer.pane.canvas.getBoundingClientRect())")]
            left, top, right, bottom = (int(side) for side in sides)
            assert [left, top, right, bottom] == sides, "the canvas lies between the pixels of the screen"
            held = pixels(base64.b64decode(self.page.evaluate("viewer.pane.canvas.toDataURL().split(',')[1]")))
            seen = pixels(self.page.screenshot())[top:bottom, left:right]
            if np.array_equal(held, seen):
                break
            assert time.monotonic() < deadline, "the screen does not show what the canvas holds"
        self.page.evaluate("document.querySelectorAll('.stage > :not(canvas)').forEach(one => one.style.visibility = '')")
        return seen

    def words(self) -> str:
        return self.page.locator(".corner").inner_text()

    def center(self) -> tuple[float, float]:
        box = self.page.locator(".stage > canvas").bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def touch(self, *paths: list[tuple[float, float]]) -> None:
        """Fingers along their paths, all at once, a step each 16 ms: a busy machine does not make slow fingers."""
        client = self.page.context.new_cdp_session(self.page)
        start = time.time()
        for step in range(len(paths[0])):
            points = [{"x": path[step][0], "y": path[step][1], "id": finger} for finger, path in enumerate(paths)]
            client.send("Input.dispatchTouchEvent", {"type": "touchStart" if step == 0 else "touchMove", "touchPoints": points, "timestamp": start + step * 0.016})
        client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": [], "timestamp": start + len(paths[0]) * 0.016})

    def drag(self, dx: float, dy: float) -> None:
        x, y = self.center()
        self.touch([(x + dx * n / 10, y + dy * n / 10) for n in range(11)])

    def double_tap(self) -> None:
        x, y = self.center()
        client = self.page.context.new_cdp_session(self.page)
        start = time.time()
        for moment, kind in ((0, "touchStart"), (0.05, "touchEnd"), (0.15, "touchStart"), (0.2, "touchEnd")):
            points = [{"x": x, "y": y}] if kind == "touchStart" else []
            client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points, "timestamp": start + moment})


@pytest.fixture
def show(chromium: Browser, wasm: Path, tmp_path: Path):
    servers = []

    def run(files: Path, note: str | None = None, language: str = "en-GB", damage: int | None = None, change=None, residual: bool = False, device: dict = PHONE, before=None) -> Shown:
        bundle, decoded = tmp_path / "study.bundle", tmp_path / "decoded"
        subprocess.run([program("scanpost-pack"), "encode", *(["--residual"] if residual else []), files, bundle], check=True, capture_output=True)
        subprocess.run([program("scanpost-pack"), "decode", bundle, decoded], check=True, capture_output=True)
        content = bytearray(bundle.read_bytes())
        told = bundle_fixture.tell(bytes(content), files, note)
        if damage is not None:
            place = told["places"][told["series"][0]["slabs"][damage]["pixels"][0]]
            content[place["offset"] + place["length"] // 2:place["offset"] + place["length"] // 2 + 40] = bytes(40)
        if change:
            change(told)
        server = Server(WEB, wasm, {"/test/fixture.html": (APP / "fixture.html").read_bytes(), "/test/fixture.js": (APP / "fixture.js").read_bytes(),
                                    "/test/bundle": bytes(content), "/test/fixture.json": json.dumps(told).encode(), "/favicon.ico": b""})
        servers.append(server)
        page = chromium.new_context(locale=language, **device).new_page()
        page.set_default_timeout(WAIT_MS)
        refused: list[str] = []
        page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: refused.append(str(error)))
        page.refused = refused
        if before:
            before(page)
        page.goto(f"{server.url}/test/fixture.html")
        return Shown(page, told, decoded)

    yield run
    for server in servers:
        server.close()


def test_no_text_becomes_markup_or_a_script(show, ct_study: list[Path]) -> None:
    shown = show(ct_study[0].parent)
    shown.here()
    for sink in ("document.body.innerHTML = '<b>text</b>'", "document.body.insertAdjacentHTML('beforeend', '<b>text</b>')", "new Worker('/js/app.js')",
                 "document.createElement('script').src = '/js/app.js'", "trustedTypes.createPolicy('another', {})",
                 "import('/js/trusted.js').then(({ script }) => script('/js/app.js'))"):
        refused = shown.page.evaluate(f"(async () => {sink})().then(() => '', (error) => error.name)")
        assert refused == "TypeError", sink


def image(folder: Path, name: str, description: str, pixels: np.ndarray, number: int, frames: int = 1, **elements: object) -> None:
    """One instance, the least that a viewer needs. The rows of several frames lie below each other."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", f"1.2.3.{number}.{zlib.crc32(description.encode())}"
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    one = pydicom.Dataset()
    one.file_meta = meta
    one.SpecificCharacterSet = "ISO_IR 192"
    one.SOPClassUID, one.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    one.StudyInstanceUID, one.SeriesInstanceUID = "1.2.3", f"1.2.3.{zlib.crc32(description.encode())}"
    one.PatientName, one.PatientID, one.SeriesDescription, one.InstanceNumber = "Test^One", "T-1", description, number
    one.Rows, one.Columns, one.SamplesPerPixel = pixels.shape[0] // frames, pixels.shape[1], 1 if pixels.ndim == 2 else pixels.shape[2]
    one.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    one.Modality = "CR"
    one.BitsAllocated = one.BitsStored = pixels.dtype.itemsize * 8
    one.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    if pixels.ndim == 3:
        one.PlanarConfiguration = 0
    if frames > 1:
        one.NumberOfFrames = frames
    for keyword, value in elements.items():
        setattr(one, keyword, value)
    one.HighBit = elements.get("HighBit", one.BitsStored - 1)
    one.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    one.save_as(folder / name, enforce_file_format=True)


def smooth(rows: int, columns: int, scale: float, seed: int = 0) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns]
    noise = np.random.default_rng(seed).normal(0, 0.01, (rows, columns))
    return scale * (np.sin(x / 17) * np.cos(y / 23) / 2 + 0.5 + noise)


@dataclass(frozen=True)
class Look:
    """How a picture is to be seen: mirrored, then turned by so many quarters to the right."""

    turn: int = 0
    mirrored: bool = False
    inverted: bool = False

    def of(self, picture: np.ndarray) -> np.ndarray:
        return np.rot90(np.fliplr(picture) if self.mirrored else picture, -self.turn)


AS_SENT = Look()


def expected(shown: Shown, canvas: tuple[int, int], zoom: str, look: Look) -> tuple[np.ndarray, np.ndarray, tuple[slice, slice]]:
    """Greys or colours of the decoded file as pydicom makes values of them, four taps, and the same window, by PS3.3 C.11.2.1.2; which of them are far from a
    rounding boundary; where they lie."""
    at = shown.frame()
    source = shown.told["series"][at["series"]]["banner"]["series_description"]
    geometry, layout = shown.geometry(), shown.told["series"][at["series"]]["layout"][at["instance"]]
    heads = ((path, pydicom.dcmread(path, stop_before_pixels=True)) for path in sorted(shown.decoded.rglob("*")) if path.is_file())
    file = pydicom.dcmread(next(path for path, one in heads if one.get("SeriesDescription") == source and one.InstanceNumber == geometry["number"]))
    stored = pixel_array(file, index=at["frame"])
    rows, columns = layout["rows"], layout["columns"]
    spacing = geometry["spacing"] or [1, 1]
    aspect = spacing[0] / spacing[1]
    height, width = canvas
    # What is turned is an array of its own; a pixel of it is as wide as one of the image, or as high.
    values = look.of(meant(file, stored, geometry).reshape(rows, columns, -1))
    is_padded = values.shape[2] == 1 and geometry["padding"] is not None
    rows, columns = values.shape[:2]
    padded = look.of(stored == geometry["padding"]) if is_padded else np.zeros((rows, columns), bool)
    wide, high = (aspect, 1) if look.turn % 2 else (1, aspect)
    fit = min(width / (columns * wide), height / (rows * high))
    scale = fit if zoom == "fit" else max(1, np.ceil(fit + 0.01))
    view = shown.page.evaluate("viewer.pane.view")
    assert view["scale"] == pytest.approx(scale) and view["aspect"] == pytest.approx(aspect)
    left, top = view["left"], view["top"]
    # The taps that zoom may lie beside the middle by less than a pixel of the page.
    assert [left, top] == pytest.approx([(width - columns * wide * scale) / 2, (height - rows * high * scale) / 2], abs=2), "the picture lies elsewhere"
    xs, ys = ((np.arange(max(0, start), min(whole, start + size * scale) // 1) + 0.5 - start) / scale for start, whole, size in ((left, width, columns * wide), (top, height, rows * high)))
    xs, ys = xs / wide, ys / high
    xs, ys = xs[(xs > 0) & (xs < columns)], ys[(ys > 0) & (ys < rows)]
    weights, total, least, most = 0.0, 0.0, np.inf, -np.inf
    for dy in (0, 1):
        for dx in (0, 1):
            fx, fy = (xs - 0.5) % 1, (ys - 0.5) % 1
            ix, iy = (np.clip(np.floor(place - 0.5).astype(int) + step, 0, side - 1) for place, step, side in ((xs, dx, columns), (ys, dy, rows)))
            weight = np.outer(fy if dy else 1 - fy, fx if dx else 1 - fx)[..., None] * ~padded[np.ix_(iy, ix)][..., None]
            taken = values[np.ix_(iy, ix)]
            least, most = np.minimum(least, taken), np.maximum(most, taken)
            total, weights = total + weight * taken, weights + weight
    steep = 1.0
    if values.shape[2] == 3:
        exact = total
    else:
        center, width_of = (float(one) for one in shown.page.evaluate("[viewer.pane.window.center, viewer.pane.window.width]"))
        steep = 255 / (width_of - 1)
        exact = np.clip((total / np.maximum(weights, 1e-9) - (center - 0.5)) / (width_of - 1) + 0.5, 0, 1) * 255
        exact = np.where(weights < 0.5, 0, 255 - exact if geometry["inverse"] != look.inverted else exact)
        # A share of padding near one half may fall either way.
        weights = np.where(np.abs(weights - 0.5) < 1e-3, np.nan, weights)
    certain = (np.abs(exact % 1 - 0.5) > NEAR_HALF + PLACE_ERROR * steep * (most - least)) & ~np.isnan(weights)
    place = (slice(int(max(0, top)), int(max(0, top)) + len(ys)), slice(int(max(0, left)), int(max(0, left)) + len(xs)))
    return np.floor(exact + 0.5), certain, place


def meant(file: pydicom.Dataset, stored: np.ndarray, geometry: dict) -> np.ndarray:
    """The values of a grey image (those of one frame's own scale too), or eight bits of each colour."""
    if stored.ndim == 3:
        return (stored >> max(0, file.BitsStored - 8)).astype(float)
    if file.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(stored, file)
        return (colours >> (8 if colours.dtype == np.uint16 else 0)).astype(float)
    if "ModalityLUTSequence" in file:
        return apply_modality_lut(stored, file).astype(float)
    return stored.astype(float) * geometry["slope"] + geometry["intercept"]


def apart(shown: Shown, zoom: str, look: Look = AS_SENT) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is seen, what is expected, and where that is certain."""
    shown.here()
    screen = shown.screen()
    greys, certain, place = expected(shown, screen.shape[:2], zoom, look)
    seen = screen[place]
    return seen, np.broadcast_to(greys, seen.shape), np.broadcast_to(certain, seen.shape)


def compare(shown: Shown, zoom: str, look: Look = AS_SENT) -> None:
    seen, greys, certain = apart(shown, zoom, look)
    assert seen.size > 100_000, "nearly nothing to compare"
    assert greys.max() - greys.min() > 100, "a picture without contrast proves nothing"
    differences = np.abs(seen - greys)
    assert differences[certain].max() == 0, f"{(differences[certain] > 0).sum()} of {certain.sum()} values differ, by {differences[certain].max()} at most"
    assert differences.max() <= 1 or np.mean(differences > 1) < 1e-3
    assert certain.mean() > 0.9


@pytest.fixture
def unusual(tmp_path: Path) -> Path:
    folder = tmp_path / "unusual"
    folder.mkdir()
    for number in (1, 2, 3):
        image(folder, f"a{number}.dcm", "MONO1", smooth(900, 1000, 250, number).clip(0, 255).astype(np.uint8), number, PhotometricInterpretation="MONOCHROME1",
              RescaleSlope=2, RescaleIntercept=-50, WindowCenter=200, WindowWidth=400)
        image(folder, f"b{number}.dcm", "SIGNED12", (smooth(300, 200, 3000, number) - 1500).astype(np.int16), number, BitsStored=12, PixelSpacing=[1.0, 2.0],
              WindowCenter=0, WindowWidth=2500, RescaleSlope=1, RescaleIntercept=0)
        image(folder, f"c{number}.dcm", "COLOUR", np.stack([smooth(256, 300, 250, number), smooth(256, 300, 200, 9), 255 - smooth(256, 300, 250, 5)], 2).clip(0, 255).astype(np.uint8), number)
        image(folder, f"d{number}.dcm", "LARGE", smooth(2000, 1400, 60_000, number).clip(0, 65535).astype(np.uint16), number, WindowCenter=30_000, WindowWidth=60_000)
    return folder


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def until(holds, wait_ms: int = WAIT_MS) -> None:
    deadline = time.monotonic() + wait_ms / 1000
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def series(shown: Shown, description: str) -> None:
    shown.page.get_by_role("button", name=description).click()
    expect(shown.page.locator("canvas[data-shown=full]")).to_be_visible(timeout=WAIT_MS)


@pytest.mark.parametrize("study", ["ct_study", "mr_study"])
def test_pixels_on_the_screen_are_the_decoded_ones_through_the_window(show, request: pytest.FixtureRequest, study: str, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for path in sorted(request.getfixturevalue(study))[:24]:
        (files / path.name).symlink_to(path)
    shown = show(files)
    compare(shown, "fit")
    shown.double_tap()
    compare(shown, "pixels")
    shown.page.screenshot(path=tmp_path / "zoomed.png")


def test_a_long_stack_stays_within_its_memory(show, chromium: Browser, tmp_path: Path) -> None:
    """More pictures than are kept decoded; `benches/app --runs 0` does the same with 600 of CT, and a portal."""
    files = tmp_path / "files"
    files.mkdir()
    for number in range(1, STACK + 1):
        # Nearly nothing when coded: the test's own copy of the bundle lies in the same process.
        image(files, f"{number}.dcm", "LONG", (np.add.outer(np.arange(512), np.arange(512)) + number).astype(np.uint16), number)
    shown, memory = show(files), Renderers(chromium)
    shown.whole()
    decoded = []
    for place in (*range(STACK), 0):
        shown.page.evaluate(f"viewer.show({place})")
        shown.here()
        decoded.append(shown.page.evaluate("viewer.pictures.held.decoded"))
        memory.look()
    assert STACK * PICTURE_BYTES > DECODED_BYTES_MAX, "something had to go"
    assert DECODED_BYTES_MAX / 2 < max(decoded) <= DECODED_BYTES_MAX, "and went"
    assert memory.peak_mib <= MEMORY_MIB_MAX
    assert not shown.page.refused


@pytest.mark.parametrize("description", ["MONO1", "SIGNED12", "COLOUR", "LARGE"])
def test_unusual_pixels_are_shown_rightly_too(show, unusual: Path, description: str) -> None:
    shown = show(unusual)
    series(shown, description)
    shown.double_tap()
    compare(shown, "pixels")


def test_one_finger_scrolls_two_zoom_and_the_tool_windows(show, ct_study: list[Path]) -> None:
    shown = show(ct_study[0].parent)
    shown.here()
    count = len(shown.told["series"][0]["slabs"])
    before = int(shown.words().split("/")[0])
    shown.drag(0, 120)
    after = int(shown.words().split("/")[0])
    assert after > before
    compare(shown, "fit")
    shown.drag(0, -3000)
    expect(shown.page.locator(".corner")).to_contain_text(f"1 / {count}")
    x, y = shown.center()
    shown.touch([(x - 20 - 8 * n, y) for n in range(10)], [(x + 20 + 8 * n, y) for n in range(10)])
    assert shown.page.evaluate("viewer.pane.camera.zoom") == pytest.approx(184 / 40, rel=0.1)
    expect(shown.page.locator(".corner")).to_contain_text(f"1 / {count}"), "two fingers do not scroll"
    shown.page.get_by_role("button", name="Window", exact=True).click()
    shown.drag(60, 0)
    assert shown.page.evaluate("viewer.pane.window.width") > 80
    assert shown.page.evaluate("viewer.pane.window.center") == 40
    shown.page.get_by_role("button", name="Bone").click()
    expect(shown.page.locator(".corner")).to_contain_text("W 2000  L 500")
    shown.page.get_by_role("button", name="As sent").click()
    expect(shown.page.locator(".corner")).to_contain_text("W 80  L 40")
    shown.page.get_by_role("slider", name="Slice").fill("7")
    expect(shown.page.locator(".corner")).to_contain_text("7 / ")
    shown.page.locator(".stage > canvas").press("ArrowDown")
    expect(shown.page.locator(".corner")).to_contain_text("8 / ")
    assert not shown.page.refused, shown.page.refused


def test_coarse_comes_first_and_where_the_eye_rests_comes_next(show, ct_study: list[Path]) -> None:
    shown = show(ct_study[0].parent)
    # Slow enough that the order is seen.
    shown.page.evaluate("window.delay = 300")
    shown.here()
    count = len(shown.told["series"][0]["slabs"])
    until(lambda: shown.page.evaluate("viewer.pictures.here(viewer.pictures.stacks[0])") == count)
    plans, entry = shown.page.evaluate("[plans, viewer.pane.frame.instance]")
    shown.page.locator(".stage > canvas").press("End")
    expect(shown.page.locator("canvas[data-shown=coarse]")).to_be_visible()
    shown.page.wait_for_selector("canvas[data-shown=full]")
    assert shown.page.evaluate("plans") > plans, "planned anew"
    shown.whole()
    came = shown.page.evaluate("came")
    pixels_of = [int(one.split()[1]) for one in came if one.startswith("pixels")]
    assert pixels_of[0] == entry, "what is looked at comes first"
    needed = 1 + len(shown.told["series"][0]["slabs"][entry]["references"])
    coarse_at = [number for number, one in enumerate(came) if one.startswith("coarse")]
    assert len([one for one in came[:coarse_at[-1]] if one.startswith("pixels")]) == needed, "then all coarse pictures"
    assert pixels_of.index(count - 1) < count // 2 + needed, "the last slice came before most others"
    assert sorted(pixels_of) == list(range(count)), "each once"


def test_damage_is_said_and_touches_no_other_slice(show, ct_study: list[Path]) -> None:
    middle = len(ct_study) // 2 - len(ct_study) // 2 % 2
    shown = show(ct_study[0].parent, damage=middle)
    expect(shown.page.locator(".state.bad")).to_contain_text("damaged", timeout=WAIT_MS)
    expect(shown.page.locator("canvas[data-shown=full]")).to_have_count(0)
    shown.page.locator(".stage > canvas").press("PageUp")
    compare(shown, "fit")


def hostile(told: dict) -> None:
    told["series"][0]["banner"] |= {"name_alphabetic": "Evil\u202eemaN^<b>x</b>\u0007", "name_ideographic": ""}
    told["series"][1]["mixedPatients"] = True
    told["series"][0]["keyImages"] = [3]
    told["completeness"] = {"is": "partial", "instances": 149, "listed": 150}


@pytest.mark.parametrize("language", ["ja-JP", "en-GB"])
def test_names_notes_losses_and_key_images_are_said_and_nothing_of_another_acts(show, mr_study: list[Path], language: str, tmp_path: Path) -> None:
    shown = show(mr_study[0].parent, note="急ぎ\u202e <script>alert(1)</script>\n二行目", language=language, change=hostile)
    shown.here()
    name = shown.page.locator(".who h1").inner_text()
    assert "\u202e" not in name and "<b>x</b>" in name and "\ufffd" in name
    note = shown.page.locator(".note").inner_text()
    assert "\u202e" not in note and "<script>" in note and "\n二行目" in note
    assert shown.frame()["instance"] == 3, "key images come first"
    expect(shown.page.locator(".corner")).to_contain_text("★")
    assert "149" in (doubt := shown.page.locator(".doubt").inner_text()) and "150" in doubt
    loss = {"ja-JP": "非可逆圧縮", "en-GB": "Irreversibly compressed"}[language]
    one = shown.told["series"][0]
    expect(shown.page.locator(".loss")).to_contain_text(f"{loss} {one['ratio']:.1f} : 1")
    expect(shown.page.locator(".loss")).to_contain_text(f"±{one['maxError']}")
    shown.page.locator(".loss button").click()
    assert shown.page.evaluate("window.exact") is True
    found = harness.barriers(shown.page)
    assert not found, found
    assert not (small := harness.too_small(shown.page)), small
    shown.page.screenshot(path=tmp_path / f"viewer-{language}.png")
    shown.page.locator(".thumbnail").filter(has_text=shown.told["series"][1]["banner"]["series_description"]).click()
    expect(shown.page.locator(".mixed")).to_be_visible()
    assert "Evil" not in shown.page.locator(".who").inner_text() and "Yamada" not in shown.page.locator(".who").inner_text()
    assert not shown.page.refused, shown.page.refused


def test_exact_pictures_come_on_request_and_say_so(show, ct_study: list[Path], tmp_path: Path) -> None:
    shown = show(ct_study[0].parent, residual=True)
    compare(shown, "fit")
    expect(shown.page.locator(".loss .lossy")).to_be_visible()
    shown.page.evaluate("viewer.exact(delivery)")
    expect(shown.page.locator(".loss.exact")).to_be_visible(timeout=WAIT_MS)
    expect(shown.page.locator(".loss")).to_contain_text("Exact")
    # Now what was sent, not what was decoded within the bound.
    shown.decoded = ct_study[0].parent
    compare(shown, "fit")
    shown.page.screenshot(path=tmp_path / "exact.png")
    for key in ("ArrowDown", "ArrowUp", "ArrowUp"):
        shown.page.locator(".stage > canvas").press(key)
        expect(shown.page.locator(".loss.exact")).to_be_visible(timeout=WAIT_MS)
        compare(shown, "fit")
