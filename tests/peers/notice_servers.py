"""Servers that take notices, on loopback over TLS: each path answers by its service's published interface, or fails in a way of its own.

There is no package of the ntfy server itself for this machine's registries, so `/ntfy` here stands for it: what https://docs.ntfy.sh/publish says
of "Publish as JSON" (fields, ranges, errors 400 and 401) and of polling.
"""

import json
import re
import socket
import ssl
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")
NTFY_FIELDS = {"topic": str, "title": str, "message": str, "tags": list, "priority": int, "sequence_id": str}
NTFY_TOKEN = "tk_" + "a" * 29
FLOOD = b"x" * 65536


@dataclass
class Got:
    """One request as it came."""

    at: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(self.body.decode(), strict_parsing=True, keep_blank_values=True))

    def bytes(self) -> bytes:
        head = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        return f"{self.method} {self.path}\r\n{head}\r\n".encode() + self.body


@dataclass
class Script:
    """What a path does, one after the other; the last goes on for ever."""

    acts: list[str] = field(default_factory=lambda: ["200"])

    def next(self) -> str:
        return self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]


class NoticeServers:
    """`scripts` by path: "200", "400", "301", "429 3" (Retry-After), "hang", "cut", "flood", or "ntfy", "slack", "teams", "line_works"."""

    def __init__(self, certificate: Path, key: Path, scripts: dict[str, list[str]], port: int = 0):
        self.got: list[Got] = []
        self.scripts = {path: Script(list(acts)) for path, acts in scripts.items()}
        self.stopping = threading.Event()
        servers = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got = Got(time.monotonic(), self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                servers.got.append(got)
                script = servers.scripts.get(self.path)
                self.close_connection = True
                servers.act(self, got, script.next() if script else "404")

            do_GET = do_PUT = do_POST

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_: object) -> None:
                pass  # Clients that hang up are part of what is tried.

            def finish_request(self, request, client_address) -> None:
                request.settimeout(30)
                request.do_handshake()
                super().finish_request(request, client_address)

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(certificate, key)
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def url(self, path: str = "") -> str:
        return f"https://localhost:{self.port}{path}"

    def of(self, path: str) -> list[Got]:
        return [got for got in self.got if got.path == path]

    def stop(self) -> None:
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def act(self, handler: BaseHTTPRequestHandler, got: Got, act: str) -> None:
        """Does as the script says."""
        word, _, more = act.partition(" ")
        if word == "hang":
            self.stopping.wait(60)
        elif word == "cut":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"queued\":")
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
        elif word == "flood":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            try:
                while not self.stopping.is_set():
                    handler.wfile.write(FLOOD)
            except OSError:
                pass
        elif word == "ntfy":
            self._answer(handler, *_ntfy(got))
        elif word == "slack":
            self._answer(handler, *((200, b"ok") if set(got.json()) == {"text"} else (400, b"invalid_payload")))
        elif word == "teams":
            self._answer(handler, 202 if _is_card(got.json()) else 400, b"")
        elif word == "line_works":
            is_text = got.json().get("content", {}).get("type") == "text"
            self._answer(handler, 201 if is_text and got.headers.get("authorization", "").startswith("Bearer ") else 400, b"")
        else:
            headers = {"Retry-After": more} if more else {"Location": self.url("/elsewhere")} if word.startswith("3") else {}
            self._answer(handler, int(word), b'{"status":"queued"}' if word == "200" else b"no", headers)

    def _answer(self, handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)


def _ntfy(got: Got) -> tuple[int, bytes]:
    if got.headers.get("authorization") != f"Bearer {NTFY_TOKEN}":
        return 401, json.dumps({"code": 40101, "http": 401, "error": "unauthorized"}).encode()
    message = got.json()
    fits = all(name in NTFY_FIELDS and isinstance(value, NTFY_FIELDS[name]) for name, value in message.items())
    if not fits or not TOPIC.fullmatch(message.get("topic", "")) or not 1 <= message.get("priority", 3) <= 5:
        return 400, json.dumps({"code": 40024, "http": 400, "error": "invalid request"}).encode()
    return 200, json.dumps({"id": "sPs71M8A2T", "time": int(time.time()), "event": "message", **message}).encode()


def _is_card(message: dict) -> bool:
    (attachment,) = message["attachments"]
    card = attachment["content"]
    return (message["type"] == "message" and attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
            and card["type"] == "AdaptiveCard" and all(block["type"] == "TextBlock" and block["text"] for block in card["body"]))
