"""WebKitGTK's MiniBrowser by WebDriver (W3C), under a display of its own: the engine nearest to an iPhone's that runs here."""

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

from lab.ports import free_port

MINI_BROWSER = next(iter(sorted(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))), None)
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
START_SECONDS_MAX = 60


class WebKit:
    """Use with `with`."""

    def __init__(self, width: int, height: int, folder: Path):
        missing = [name for name in ("WebKitWebDriver", "Xvfb", "dbus-run-session") if not shutil.which(name)]
        if missing or not MINI_BROWSER:
            raise FileNotFoundError(f"{missing or 'MiniBrowser'} is missing: deploy/packages installs webkit2gtk-driver and xvfb")
        self.size, self.folder, self.port, self.display = (width, height), folder, free_port(), f":{free_port() % 50_000 + 100}"
        self.session = None

    def __enter__(self) -> "WebKit":
        # WebKit's own sandbox needs user namespaces, which a container may lack; the pages are ours.
        environment = os.environ | {"DISPLAY": self.display, "LIBGL_ALWAYS_SOFTWARE": "1", "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1", "HOME": str(self.folder),
                                    "XDG_RUNTIME_DIR": str(self.folder), "GDK_BACKEND": "x11", "NO_AT_BRIDGE": "1"}
        log = (self.folder / "webkit.log").open("w")
        self.screen = subprocess.Popen(["Xvfb", self.display, "-screen", "0", f"{self.size[0] + 100}x{self.size[1] + 200}x24", "-nolisten", "tcp"], stdout=log, stderr=log)
        self.driver = subprocess.Popen(["dbus-run-session", "--", "WebKitWebDriver", f"--port={self.port}"], env=environment, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                made = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": True, "webkitgtk:browserOptions": {
                    "binary": str(MINI_BROWSER), "args": ["--automation"]}}}})
                break
            except OSError:
                if time.monotonic() > deadline:
                    self.__exit__()
                    raise
                time.sleep(0.3)
        self.session = made["sessionId"]
        # Asked for here: MiniBrowser does not heed --geometry under automation. Its own bar takes 38 pixels of the height and keeps the width above some 450.
        self.call("POST", f"/session/{self.session}/window/rect", {"width": self.size[0], "height": self.size[1]})
        return self

    def __exit__(self, *_: object) -> None:
        if self.session:
            try:
                self.call("DELETE", f"/session/{self.session}")
            except OSError:
                pass
        os.killpg(self.driver.pid, 15)
        for child in (self.driver, self.screen):
            child.terminate()
            child.wait(timeout=20)

    def call(self, method: str, path: str, body: object = None) -> object:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read())["value"]

    def open(self, url: str) -> None:
        self.call("POST", f"/session/{self.session}/url", {"url": url})

    def evaluate(self, expression: str) -> object:
        return self.call("POST", f"/session/{self.session}/execute/sync", {"script": f"return {expression}", "args": []})

    def awaited(self, expression: str) -> object:
        """The value of a promise."""
        return self.call("POST", f"/session/{self.session}/execute/async", {
            "script": f"const done = arguments[0]; ({expression}).then((value) => done({{ value }}), (error) => done({{ error: String(error) }}))", "args": []})

    def drag(self, *places: tuple[float, float]) -> None:
        """The mouse, pressed, through these places of the page."""
        moves = [{"type": "pointerMove", "duration": 20, "origin": "viewport", "x": round(x), "y": round(y)} for x, y in places]
        actions = [moves[0], {"type": "pointerDown", "button": 0}, *moves[1:], {"type": "pointerUp", "button": 0}]
        self.call("POST", f"/session/{self.session}/actions", {"actions": [{"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions}]})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("GET", f"/session/{self.session}/screenshot")))
