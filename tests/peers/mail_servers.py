"""Mail servers that say hello and take a login, good ones and bad ones, behind a wire that records every byte of the client."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

GREETING = {"smtp": b"220 here ESMTP\r\n", "imap": b"* OK here\r\n"}
# A server that was stripped of TLS, or never had it: it offers to begin later.
STARTTLS = {"smtp": b"250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n", "imap": b"* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN\r\n"}
RECORD_HEADER_BYTES = 5
APPLICATION_DATA = 23  # RFC 8446 5.1: content type of every encrypted record


@dataclass
class Connection:
    """What one client sent: on the wire, and as the server understood it."""

    wire: bytearray = field(default_factory=bytearray)
    understood: bytearray = field(default_factory=bytearray)

    def encrypted_bytes(self) -> int:
        """Payload of the client's encrypted records: 19 for one alert (RFC 8446 5.2: 2, content type, 16 of tag)."""
        total, rest = 0, bytes(self.wire)
        while len(rest) >= RECORD_HEADER_BYTES:
            length = int.from_bytes(rest[3:5], "big")
            total += length if rest[0] == APPLICATION_DATA else 0
            rest = rest[RECORD_HEADER_BYTES + length :]
        return total


class MailServer:
    """`context` none: a plain one. `protocol`: smtp or imap."""

    def __init__(self, protocol: str, context: ssl.SSLContext | None, offers_starttls: bool = False):
        self.protocol, self.context, self.offers_starttls = protocol, context, offers_starttls
        self.connections: list[Connection] = []
        # By the port that the server sees.
        self._by_port: dict[int, Connection] = {}
        self._inner, self._outer = _listen(), _listen()
        self.port = self._outer.getsockname()[1]
        self._stopped = threading.Event()
        _loop(self._serve, self._inner, self._stopped)
        _loop(self._record, self._outer, self._stopped)

    def stop(self) -> None:
        self._stopped.set()
        for listener in (self._inner, self._outer):
            listener.close()

    def wire(self) -> bytes:
        return b"".join(bytes(connection.wire) for connection in self.connections)

    def understood(self) -> bytes:
        return b"".join(bytes(connection.understood) for connection in self.connections)

    def _record(self, client: socket.socket) -> None:
        connection = Connection()
        server = socket.create_connection(self._inner.getsockname())
        self._by_port[server.getsockname()[1]] = connection
        self.connections.append(connection)
        threading.Thread(target=_pump, args=(server, client, None), daemon=True).start()
        _pump(client, server, connection.wire)

    def _serve(self, plain: socket.socket) -> None:
        stream = plain
        if self.context:
            try:
                stream = self.context.wrap_socket(plain, server_side=True)
            except (ssl.SSLError, OSError):
                plain.close()
                return
        try:
            self._converse(stream, self._connection(plain if stream is plain else stream))
        except (ssl.SSLError, OSError):
            pass
        finally:
            stream.close()

    def _connection(self, stream: socket.socket) -> Connection:
        port = stream.getpeername()[1]
        while port not in self._by_port:
            time.sleep(0.005)
        return self._by_port[port]

    def _converse(self, stream: socket.socket, connection: Connection) -> None:
        stream.sendall(GREETING[self.protocol] + (STARTTLS["imap"] if self.offers_starttls and self.protocol == "imap" else b""))
        pending = b""
        while data := stream.recv(4096):
            connection.understood += data
            pending += data
            while b"\r\n" in pending:
                line, pending = pending.split(b"\r\n", 1)
                stream.sendall(self._answer(line))

    def _answer(self, line: bytes) -> bytes:
        if self.protocol == "smtp":
            if line[:4].upper() == b"EHLO":
                return STARTTLS["smtp"] if self.offers_starttls else b"250-here\r\n250 AUTH PLAIN LOGIN\r\n"
            return {b"AUTH": b"235 welcome\r\n", b"QUIT": b"221 bye\r\n"}.get(line[:4].upper(), b"250 ok\r\n")
        return line.split(b" ")[0] + b" OK done\r\n"


def _listen() -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    return listener


def _loop(serve: Callable[[socket.socket], None], listener: socket.socket, stopped: threading.Event) -> None:
    def run() -> None:
        while not stopped.is_set():
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(accepted,), daemon=True).start()
    threading.Thread(target=run, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, record: bytearray | None) -> None:
    try:
        while data := source.recv(65536):
            if record is not None:
                record += data
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, sink):
            end.close()
