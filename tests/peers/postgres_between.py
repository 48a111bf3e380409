"""A machine between the gateway and its PostgreSQL server: it loses the answer to a COMMIT, and the connection with it. Without TLS, as on loopback."""

import socket
import threading

from peers.listening import Listening

# A simple query as the driver sends it, and what the server says when it has done it (PostgreSQL, 55.7).
COMMIT = b"COMMIT\0"


class PostgresBetween(Listening):
    """Transactions are told apart by what is in them: a text that the gateway binds."""

    def __init__(self, server_port: int):
        super().__init__()
        self.server_port = server_port
        # Of a commit that waits here for `released`, and of one that is done and not told of.
        self.held: bytes | None = None
        self.lost: bytes | None = None
        self.holds, self.released = threading.Event(), threading.Event()
        # What the transaction was whose commit was lost; none until then.
        self.sent: bytes | None = None
        self.was_lost = threading.Event()
        # Whoever connects is refused.
        self.is_down = False
        # With the loss all connections are, and no more is let in until somebody says otherwise.
        self.goes_down = False
        self._connections: list[Connection] = []

    def __exit__(self, *error: object) -> None:
        self.released.set()
        super().__exit__(*error)

    def serve(self, client: socket.socket) -> None:
        if self.is_down:
            return client.close()
        try:
            server = socket.create_connection(("127.0.0.1", self.server_port))
        except OSError:
            return client.close()
        connection = Connection(self, client, server)
        self._connections.append(connection)
        connection.run()

    def go_down(self) -> None:
        self.is_down = True
        for connection in self._connections:
            connection.cut()


class Connection:
    def __init__(self, between: PostgresBetween, client: socket.socket, server: socket.socket):
        self.between, self.client, self.server = between, client, server
        self.transaction = b""
        self.swallows = False

    def run(self) -> None:
        threading.Thread(target=self._back, daemon=True).start()
        self._forth()

    def _forth(self) -> None:
        between = self.between
        try:
            while data := self.client.recv(65_536):
                self.transaction += data
                if COMMIT in data:
                    if between.held and between.held in self.transaction:
                        between.held = None
                        between.holds.set()
                        between.released.wait()
                    if between.lost and between.lost in self.transaction:
                        between.lost, between.sent, self.swallows = None, self.transaction, True
                    self.transaction = b""
                self.server.sendall(data)
        except OSError:
            pass
        self.cut()

    def _back(self) -> None:
        try:
            while data := self.server.recv(65_536):
                if self.swallows and COMMIT in data:
                    if self.between.goes_down:
                        self.between.go_down()
                    break
                self.client.sendall(data)
        except OSError:
            pass
        self.cut()
        if self.swallows:
            self.between.was_lost.set()

    def cut(self) -> None:
        for end in (self.client, self.server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
