"""The app's own files on the phone: kept for a time without network, replaced only by ones whose list is signed by the key of the first one."""

import base64
import hashlib
import json
import time
from pathlib import Path

import pytest
from lab import openssl
from lab.bundle_fixture import TYPES, Server
from playwright.sync_api import Browser, Page, expect

from test_app_viewer import PHONE, WEB

WAIT_MS = 60_000
SECONDS_MAX = 60
PURPOSE = b"scanpost shell\0"


class Release:
    """A portal's files, as many as are served, with a list that is signed (docs/spec-portal.md 7)."""

    def __init__(self, server: Server, folder: Path):
        self.server, self.folder = server, folder
        self.key = self.new_key("release")
        self.files = {"/" if path.name == "index.html" else f"/{path.relative_to(WEB)}": path.read_bytes() for path in WEB.rglob("*")
                      if path.is_file() and path.suffix in TYPES and "node_modules" not in path.parts and path.name not in ("tsconfig.json", "package.json", "package-lock.json", "built.json")}

    def new_key(self, name: str) -> Path:
        path = self.folder / f"{name}.pem"
        path.write_bytes(openssl.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"))
        return path

    def publish(self, key: Path | None, signer: Path | None = None) -> None:
        point = key and base64.b64encode(openssl.openssl("pkey", "-in", str(key), "-pubout", "-outform", "DER")[-65:]).decode()
        listed = json.dumps({"format": 1, "key": point, "files": {path: hashlib.sha256(content).hexdigest() for path, content in self.files.items()}}).encode()
        self.server.added = dict(self.files) | {"/shell.json": listed, "/favicon.ico": b""}
        if signer:
            self.server.added["/shell.sig"] = base64.b64encode(raw(openssl.openssl("dgst", "-sha256", "-sign", str(signer), data=PURPOSE + listed)))


def raw(der: bytes) -> bytes:
    """r and s (RFC 3279 2.2.3) as WebCrypto wants them."""
    length = der[3]
    r, s = der[4:4 + length], der[6 + length:]
    return b"".join(number.lstrip(b"\0").rjust(32, b"\0") for number in (r, s))


@pytest.fixture
def release(tmp_path: Path):
    server = Server(tmp_path / "nothing", tmp_path / "nothing", {})
    yield Release(server, tmp_path)
    server.close()


@pytest.fixture
def page(chromium: Browser):
    page = chromium.new_context(locale="en-GB", **PHONE).new_page()
    page.set_default_timeout(WAIT_MS)
    return page


def installed(page: Page, release: Release) -> None:
    page.goto(release.server.url)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    until(lambda: kept(page, "/js/app.js") == release.files["/js/app.js"].decode())


def kept(page: Page, path: str) -> str | None:
    return page.evaluate("(path) => caches.open('shell').then((cache) => cache.match(path)).then((found) => found ? found.text() : null)", path)


def until(holds) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_only_what_the_first_key_signed_replaces_the_program(release: Release, page: Page) -> None:
    release.publish(release.key, release.key)
    installed(page, release)
    old = release.files["/app.css"]
    # A portal that changes a file, with every list it can make: none, one of another key, the old key's name with another's signature.
    other = release.new_key("other")
    for words, key, signer in ((b"/* unsigned */", None, None), (b"/* of another */", other, other), (b"/* forged */", release.key, other)):
        release.files["/app.css"] = old + words
        release.publish(key, signer)
        page.goto(release.server.url)
        expect(page.get_by_text("changed without a signature")).to_be_visible(timeout=WAIT_MS)
        assert kept(page, "/app.css") == old.decode(), words
    # A file that is not what its signed list says.
    release.files["/app.css"] = old + b"/* signed */"
    release.publish(release.key, release.key)
    release.server.added["/app.css"] = old + b"/* swapped */"
    page.goto(release.server.url)
    expect(page.get_by_text("changed without a signature")).to_be_visible(timeout=WAIT_MS)
    assert kept(page, "/app.css") == old.decode()
    # The next version, as it should be.
    release.publish(release.key, release.key)
    page.goto(release.server.url)
    until(lambda: kept(page, "/app.css") == (old + b"/* signed */").decode())


def test_the_program_starts_without_a_network_and_keeps_nothing_else(release: Release, page: Page) -> None:
    release.publish(release.key, release.key)
    installed(page, release)
    release.server.close()
    page.goto(release.server.url + "/c/" + "ab" * 16)
    expect(page.get_by_role("button", name="Open with this device")).to_be_visible()
    assert page.evaluate("document.fonts.ready.then(() => getComputedStyle(document.body).backgroundColor)") == "rgb(5, 8, 13)", "with its looks"
    held = page.evaluate("(async () => (await (await caches.open('shell')).keys()).map((one) => new URL(one.url).pathname))()")
    assert set(held) == set(release.files) | {"/shell.key"}
