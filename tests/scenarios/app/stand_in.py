"""A portal that does as its scenario says: it serves a doctor's mailbox by the calls of the app, and can swap, cut and replay what it serves. The real one is
honest; that the app does not trust it is shown with this one."""

import base64
import json
import re
import threading
import time
from collections.abc import Callable
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from lab.mail_store import MailStore
from lab.mailbox import Mailbox
from lab.programs import TOP

POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; base-uri 'none'; form-action 'none'"
STEP_BYTES = 4096
ID = re.compile(r"<([0-9a-f]{32})\.([a-z0-9_.]+)@([a-z0-9.-]+)>")
Tamper = Callable[[int, bytes], bytes]


class StandIn:
    """Use with `with`. `tamper` is given each piece as it is read; `cover` and `entry` each cover and entry."""

    def __init__(self, store: MailStore, user: str):
        self.store, self.user = store, user
        self.keys: dict[str, bytes] = {}
        self.credential: str | None = None  # of the session
        self.tamper: Tamper = lambda number, content: content
        self.lose_after: int | None = None  # bytes of an answer, then the line is dropped, once
        self.bytes_per_second: int | None = None
        self.withholds_confirmations = False
        self.links: dict[str, dict] = {}  # by id: what the portal tells, and statement and proof
        self.asked: list[list[list[int]]] = []
        self.parts: dict[tuple[str, str], list[bytes]] = {}
        handler = type("Handler", (Handler,), {"portal": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.origin = f"http://localhost:{self.server.server_port}"

    def __enter__(self) -> "StandIn":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def read(self) -> None:
        """All that lies in the mailbox now."""
        self.parts = {}
        with Mailbox(self.store, self.user) as mailbox:
            for message in mailbox.messages():
                mail = message_from_bytes(message.content)
                found = ID.fullmatch(str(mail["Message-ID"]).strip())
                if found:
                    body = base64.b64decode(mail.get_payload())
                    self.parts.setdefault((found[1], found[2]), []).append(body)

    def entries(self) -> list[dict]:
        self.read()
        covers = [(delivery, bodies[0]) for (delivery, part), bodies in self.parts.items() if part == "cover"]
        return [self.entry(delivery, cover) for delivery, cover in covers]

    def entry(self, delivery: str, cover: bytes) -> dict:
        pieces = [bodies[0] for (of, part), bodies in self.parts.items() if of == delivery and part.isdigit()]
        return {"delivery": delivery, "site": "hospital.example", "received_at": 0, "bytes": sum(map(len, pieces)), "pieces": len(pieces),
                "cover": base64.b64encode(cover).decode()}

    def pieces(self, delivery: str) -> list[bytes]:
        own = {int(part): bodies[0] for (of, part), bodies in self.parts.items() if of == delivery and part.isdigit()}
        return [own[number] for number in sorted(own)]

    def append(self, name: str, content: bytes) -> None:
        text = base64.encodebytes(content).decode().replace("\n", "\r\n")
        mail = f"Message-ID: <{name}>\r\nFrom: doctor@hospital.example\r\nContent-Transfer-Encoding: base64\r\n\r\n{text}"
        with Mailbox(self.store, self.user) as mailbox:
            mailbox.append(mail.encode())


class Handler(BaseHTTPRequestHandler):
    portal: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, content: object = None, status: int = 200) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_PUT(self) -> None:
        name = urlsplit(self.path).path.rsplit("/", 1)[1]
        self.portal.keys[name] = self.body()
        self.answer()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if not path.startswith("/api/"):
            return self.file(path)
        if path == "/api/home":
            return self.answer(self.home())
        if link := self.portal.links.get(path.removeprefix("/api/links/")):
            return self.answer(link["told"])
        if found := re.fullmatch("/api/enrolments/([0-9a-f]{32})", path):
            self.portal.read()
            bodies = [] if self.portal.withholds_confirmations else self.portal.parts.get((found[1], "enrolled"), [])
            return self.answer({"messages": [base64.b64encode(body).decode() for body in bodies]})
        return self.answer({"error": "unknown", "who": "us", "retry_after": None}, 404)

    def do_POST(self) -> None:
        url, body = urlsplit(self.path), self.body()
        path, site = url.path.removeprefix("/api/"), parse_qs(url.query).get("site", [""])[0]
        if path == "sign-in/begin":
            return self.answer({"challenge": "AAAA", "rp_id": "localhost"})
        if path == "sign-in/finish":
            self.portal.credential = json.loads(body)["credential"]
            return self.answer(self.home())
        if path == "devices/begin":
            return self.answer({"challenge": "AAAA", "rp": {"id": "localhost", "name": "x"}, "user": {"id": "AAAA", "name": "x", "displayName": "x"},
                                "pubKeyCredParams": [{"type": "public-key", "alg": -7}], "excludeCredentials": [],
                                "authenticatorSelection": {"residentKey": "required", "userVerification": "required"}})
        if path == "devices/finish":
            self.portal.credential = json.loads(body)["credential"]
            return self.answer({})
        if found := re.fullmatch("links/([0-9a-f]{32})/open", path):
            link = self.portal.links[found[1]]
            if json.loads(body)["proof"] != link["proof"]:
                return self.answer({"error": "wrong", "who": "doctor", "retry_after": None}, 403)
            return self.answer({"statement": link["statement"], "deliveries": self.portal.entries()})
        if found := re.fullmatch("deliveries/([0-9a-f]{32})/ranges", path):
            return self.ranges(found[1], json.loads(body)["ranges"])
        if found := re.fullmatch("deliveries/([0-9a-f]{32})/receipts/([a-z_]+)", path):
            recipient = parse_qs(url.query)["recipient"][0]
            self.portal.append(f"{found[1]}.{found[2]}.{recipient}@{site}", body)
            return self.answer()
        if found := re.fullmatch("(enrolments|renewals)/([0-9a-f]{32})", path):
            self.portal.append(f"{found[2]}.{'enrol' if found[1] == 'enrolments' else 'renew'}@{site}", body)
            return self.answer()
        return self.answer({"error": "unknown", "who": "us", "retry_after": None}, 404)

    def file(self, path: str) -> None:
        """The app's files under the portal's policy, and a page without a screen."""
        if path == "/":
            content, kind = b'<!doctype html><title>app</title><script type="module" src="/page.js"></script>', "text/html"
        elif re.fullmatch(r"/page\.js|/(js|wasm)/[a-z]+\.(js|wasm)", path):
            file = Path(__file__).parent / "page.js" if path == "/page.js" else TOP / "reader/web" / path[1:]
            content, kind = file.read_bytes(), "application/wasm" if path.endswith("wasm") else "text/javascript"
        else:
            return self.answer(None, 404)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def home(self) -> dict:
        text = lambda name: base64.b64encode(self.portal.keys[name]).decode() if name in self.portal.keys else None
        return {"user": "doctor", "level": "device", "keys": text(self.portal.credential), "recovery": text("recovery"), "deliveries": self.portal.entries(), "link": None}

    def ranges(self, delivery: str, ranges: list[list[int]]) -> None:
        self.portal.asked.append(ranges)
        pieces = self.portal.pieces(delivery)
        changed = [self.portal.tamper(number, piece) for number, piece in enumerate(pieces, 1)]
        content = b"".join(changed[piece - 1][offset : offset + length] for piece, offset, length in ranges)
        if self.portal.lose_after is not None and len(content) > self.portal.lose_after:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: self.portal.lose_after])
            self.wfile.flush()
            self.portal.lose_after = None
            self.close_connection = True
            return None
        if self.portal.bytes_per_second is not None:
            return self.slowly(content, self.portal.bytes_per_second)
        return self.answer(content)

    def slowly(self, content: bytes, bytes_per_second: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            for at in range(0, len(content), STEP_BYTES):
                self.wfile.write(content[at : at + STEP_BYTES])
                time.sleep(STEP_BYTES / bytes_per_second)
        except OSError:  # The app gave the request up.
            self.close_connection = True
