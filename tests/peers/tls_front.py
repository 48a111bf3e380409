"""TLS in front of a service that speaks plain HTTP: as a site puts a reverse proxy before its archive."""

import socket
import ssl
import threading

from peers.authority import Issued

BLOCK_BYTES = 1 << 16


class TlsFront:
    """Listens as `localhost` and passes every byte on to a port of this machine."""

    def __init__(self, issued: Issued, port: int):
        self.behind = port
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate, issued.key)
        self.listener = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        self.listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except ssl.SSLError:
                continue
            except OSError:
                return
            service = socket.create_connection(("127.0.0.1", self.behind))
            for source, target in ((client, service), (service, client)):
                threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while block := source.recv(BLOCK_BYTES):
            target.sendall(block)
        target.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
