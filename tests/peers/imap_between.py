"""A machine between a client and the IMAPS server, with the server's own key: it answers one command in the server's place, or does something before the
server gets it, and passes on all else."""

import math
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

from peers.listening import Listening


class ImapBetween(Listening):
    """To each `command`, or the first `times` of them, the client is answered `answer`, where `TAG` stands for the command's tag; where `answer` can be called,
    it is, with the command, which then goes on to the server."""

    def __init__(self, tls: Path, server_port: int, command: str, answer: bytes | Callable[[bytes], None], times: float = math.inf):
        super().__init__()
        self.server_port, self.command, self.answer, self.times = server_port, command.encode(), answer, times
        self.answered = 0
        self._inner = ssl.create_default_context(cafile=str(tls / "ca.pem"))
        self._outer = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._outer.load_cert_chain(tls / "server.cert.pem", tls / "server.key.pem")

    def serve(self, plain: socket.socket) -> None:
        try:
            client = self._outer.wrap_socket(plain, server_side=True)
            server = self._inner.wrap_socket(socket.create_connection(("localhost", self.server_port)), server_hostname="localhost")
        except OSError:
            return plain.close()
        threading.Thread(target=self._back, args=(server, client), daemon=True).start()
        try:
            for line in client.makefile("rb"):
                tag, _, rest = line.partition(b" ")
                if rest.startswith(self.command) and self.answered < self.times:
                    self.answered += 1
                    if callable(self.answer):
                        self.answer(rest)
                        server.sendall(line)
                    else:
                        client.sendall(self.answer.replace(b"TAG", tag))
                else:
                    server.sendall(line)
        except OSError:
            pass
        shut(server)
        client.close()

    @staticmethod
    def _back(server: ssl.SSLSocket, client: ssl.SSLSocket) -> None:
        try:
            while data := server.recv(65_536):
                client.sendall(data)
        except OSError:
            pass
        shut(client)
        server.close()


def shut(stream: ssl.SSLSocket) -> None:
    """Ends the reading in another thread, which closes it: OpenSSL would go on to read whatever has the number of a closed descriptor by then."""
    try:
        stream.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
