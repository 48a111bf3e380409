"""The viewer in WebKitGTK, the engine nearest to an iPhone's: the same pixels, WebCrypto as the app uses it, and by name what it lacks."""

import base64
import json
import subprocess
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
import pytest
from lab import bundle_fixture
from lab.bundle_fixture import Server
from lab.programs import program
from lab.webkit import WebKit
from pydicom.pixels import pixel_array

from test_app_carried import COSINES_APART_MAX, LOOP_COLUMNS, LOOP_ROWS, loop
from test_app_viewer import APP, NEAR_HALF, PLACE_ERROR, WEB, pixels, wasm  # noqa: F401

SECONDS_MAX = 120
FULL = "!!window.viewer && viewer.pane.canvas.dataset.shown === 'full'"
# What the app needs on an iPhone and this engine lacks: these parts are shown in Chromium alone.
LACKS = ("PublicKeyCredential", "PushManager")
# AES-GCM, ECDH on P-256, HKDF, ECDSA: what opening a delivery takes.
CRYPTO = """(async () => {
  const pair = () => crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, false, ['deriveBits']);
  const [one, other] = [await pair(), await pair()];
  const bits = async (own, peer) => new Uint8Array(await crypto.subtle.deriveBits({ name: 'ECDH', public: peer.publicKey }, own.privateKey, 256));
  const [a, b] = [await bits(one, other), await bits(other, one)];
  const base = await crypto.subtle.importKey('raw', a, 'HKDF', false, ['deriveKey']);
  const key = await crypto.subtle.deriveKey({ name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(32), info: new Uint8Array(5) }, base, { name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
  const how = { name: 'AES-GCM', iv: new Uint8Array(12), additionalData: new Uint8Array(4) };
  const sealed = await crypto.subtle.encrypt(how, key, a);
  const opened = new Uint8Array(await crypto.subtle.decrypt(how, key, sealed));
  const signing = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify']);
  const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, signing.privateKey, a);
  const verified = await crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, signing.publicKey, signature, a);
  const broken = new Uint8Array(sealed); broken[3] ^= 1;
  const refused = await crypto.subtle.decrypt(how, key, broken).then(() => false, () => true);
  return a.every((value, n) => value === b[n] && value === opened[n]) && verified && refused;
})()"""


@pytest.fixture(scope="module")
def webkit(tmp_path_factory: pytest.TempPathFactory):
    with WebKit(390, 844, tmp_path_factory.mktemp("webkit")) as browser:
        # A phone's page, not a desk's.
        assert browser.evaluate("innerWidth") < 500
        yield browser


def until(browser: WebKit, expression: str) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not browser.evaluate(expression):
        assert time.monotonic() < deadline, expression
        time.sleep(0.2)


@contextmanager
def served(browser: WebKit, files: Path, wasm: Path, folder: Path, query: str = ""):  # noqa: F811
    """The viewer's page with that study is open: what is told of the study, and where it lies decoded."""
    bundle, decoded = folder / "study.bundle", folder / "decoded"
    subprocess.run([program("scanpost-pack"), "encode", files, bundle], check=True, capture_output=True)
    subprocess.run([program("scanpost-pack"), "decode", bundle, decoded], check=True, capture_output=True)
    told = bundle_fixture.tell(bundle.read_bytes(), files)
    server = Server(WEB, wasm, {"/test/fixture.html": (APP / "fixture.html").read_bytes(), "/test/fixture.js": (APP / "fixture.js").read_bytes(),
                                "/test/bundle": bundle.read_bytes(), "/test/fixture.json": json.dumps(told).encode(), "/favicon.ico": b""})
    try:
        browser.open(f"{server.url}/test/fixture.html{query}")
        yield told, decoded
    finally:
        server.close()


def test_webkit_shows_the_decoded_pixels(webkit: WebKit, ct_study: list[Path], wasm: Path, tmp_path: Path) -> None:  # noqa: F811
    with served(webkit, ct_study[0].parent, wasm, tmp_path) as (told, decoded):
        until(webkit, FULL)
        webkit.screenshot(tmp_path / "webkit.png")
        # Above one pixel of the screen for each of the image, so that none is a mean of several.
        webkit.evaluate("""viewer.pane.canvas.dispatchEvent(new WheelEvent('wheel', { ctrlKey: true, deltaY: -300, cancelable: true,
            clientX: innerWidth / 2, clientY: viewer.pane.canvas.getBoundingClientRect().y + viewer.pane.canvas.clientHeight / 2 }))""")
        until(webkit, "viewer.pane.view.scale > 1")
        for place in (None, 2):
            if place is not None:
                webkit.evaluate(f"viewer.show({place})")
                until(webkit, f"viewer.pane.canvas.dataset.shown === 'full' && document.querySelector('.corner').textContent.startsWith('{place + 1} /')")
            compare(webkit, told, decoded)
        lacking = [name for name in LACKS if not webkit.evaluate(f"'{name}' in window")]
        assert webkit.awaited(CRYPTO) == {"value": True}
        assert webkit.evaluate("WebAssembly.validate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))")
    if lacking:
        warnings.warn(f"WebKitGTK lacks {', '.join(lacking)}: passkeys and push are shown in Chromium alone", stacklevel=1)


def test_webkit_decodes_what_came_compressed(webkit: WebKit, wasm: Path, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "loop"
    folder.mkdir()
    loop(folder)
    with served(webkit, folder, wasm, tmp_path) as (_, decoded):
        until(webkit, FULL)
        webkit.evaluate("viewer.show(7)")
        until(webkit, "viewer.pictures.picture(viewer.pane.stack, 7)?.full")
        webkit.screenshot(tmp_path / "webkit-loop.png")
        held = webkit.evaluate("btoa(Array.from(viewer.pictures.picture(viewer.pane.stack, 7).parts[0].data, (byte) => String.fromCharCode(byte)).join(''))")
    shown = np.frombuffer(base64.b64decode(held), np.uint8).reshape(LOOP_ROWS, LOOP_COLUMNS, 4)[..., :3].astype(int)
    (file,) = (path for path in decoded.rglob("*") if path.is_file())
    expected = pixel_array(file, index=7).astype(int)
    assert np.ptp(expected) > 100 and np.abs(shown - expected).max() <= COSINES_APART_MAX


def compare(browser: WebKit, told: dict, decoded: Path) -> None:
    """The canvas read back, beside the decoded slice through the same window."""
    # What was asked for is drawn in the next frame.
    assert browser.awaited("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))") == {"value": True}
    frame, view, window = browser.evaluate("[viewer.pane.frame.instance, viewer.pane.view, viewer.pane.window]")
    held = pixels(base64.b64decode(browser.evaluate("viewer.pane.canvas.toDataURL().split(',')[1]")))[..., 0]
    geometry = told["geometries"][0][frame]
    files = (pydicom.dcmread(path) for path in decoded.rglob("*") if path.is_file())
    stored = next(one for one in files if one.InstanceNumber == geometry["number"]).pixel_array.astype(float)
    xs, ys = ((np.arange(side) + 0.5 - start) / view["scale"] for side, start in ((held.shape[1], view["left"]), (held.shape[0], view["top"])))
    inside_x, inside_y = ((place > 0) & (place < 512) for place in (xs, ys))
    xs, ys = xs[inside_x], ys[inside_y]
    total, weights, least, most = 0.0, 0.0, np.inf, -np.inf
    for dy in (0, 1):
        for dx in (0, 1):
            fx, fy = (xs - 0.5) % 1, (ys - 0.5) % 1
            taken = stored[np.ix_(*(np.clip(np.floor(place - 0.5).astype(int) + step, 0, 511) for place, step in ((ys, dy), (xs, dx))))]
            least, most = np.minimum(least, taken), np.maximum(most, taken)
            weight = np.outer(fy if dy else 1 - fy, fx if dx else 1 - fx) * (taken != geometry["padding"])
            total, weights = total + weight * taken, weights + weight
    exact = np.clip((total / np.maximum(weights, 1e-9) - (window["center"] - 0.5)) / (window["width"] - 1) + 0.5, 0, 1) * 255
    exact = np.where(weights < 0.5, 0, exact)
    steep = 255 / (window["width"] - 1)
    certain = (np.abs(exact % 1 - 0.5) > NEAR_HALF + PLACE_ERROR * steep * (most - least)) & (np.abs(weights - 0.5) > 1e-3)
    seen = held[np.ix_(inside_y, inside_x)]
    assert seen.size > 50_000 and exact.max() - exact.min() > 100
    assert np.abs(seen - np.floor(exact + 0.5))[certain].max() == 0
