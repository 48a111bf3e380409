"""A PostgreSQL server on a free loopback port, with its data in a folder of its own, for as long as it is needed.

python -m lab.postgres COMMAND...: runs the command with SCANPOST_TEST_POSTGRES naming a server that is thrown away after it.
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab import openssl
from lab.ports import free_port
from lab.process import Child, log_tail

USER = "scanpost"
# Of the Debian package: the server refuses to run as root.
SYSTEM_USER = "postgres"
START_SECONDS_MAX = 60


class Postgres:
    """A server with one database, `scanpost`. `cut` is a crash; `start` again recovers from it."""

    def __init__(self, folder: Path, log: Path):
        """The folder must be one that the server's own user can reach."""
        self.folder, self.log = folder, log
        self.port = free_port()
        self.password = secrets.token_urlsafe(12)
        self.child: Child | None = None

    @property
    def server_url(self) -> str:
        """Without a database."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.server_url}/{USER}"

    def start(self) -> "Postgres":
        """Returns when it answers."""
        data = self.folder / "data"
        is_new = not data.exists()
        if is_new:
            self._make(data)
        options = ["-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}", "-c", "max_connections=200"]
        self.child = Child([*_unprivileged(), _program("postgres"), "-D", data, *options], self.log)
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._answers():
            if time.monotonic() > deadline or not self.child.is_running():
                raise RuntimeError(f"PostgreSQL does not answer\n{log_tail(self.log)}")
            time.sleep(0.1)
        if is_new:
            self.ask(f"CREATE DATABASE {USER} TEMPLATE template0 ENCODING 'UTF8'", "postgres")
        return self

    def stop(self) -> None:
        self._end("fast")

    def cut(self) -> None:
        """Without a word to anybody and without a checkpoint, as in a crash."""
        self._end("immediate")

    def ask(self, sql: str, database: str = USER) -> str:
        """Rows as psql prints them, bare."""
        command = [_program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", f"{self.server_url}/{database}", "-c", sql]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()

    def _end(self, how: str) -> None:
        if self.child and self.child.is_running():
            command = [*_unprivileged(), _program("pg_ctl"), "-D", self.folder / "data", "stop", "-w", "-m", how]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            self.child.process.wait(START_SECONDS_MAX)

    def _make(self, data: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        password = self.folder / "password"
        openssl.write_secret(password, self.password.encode())
        if _unprivileged():
            shutil.chown(self.folder, SYSTEM_USER)
            shutil.chown(password, SYSTEM_USER)
        command = [*_unprivileged(), _program("initdb"), "-D", data, "-U", USER, "-A", "scram-sha-256", "--pwfile", password, "-E", "UTF8", "--locale=C"]
        made = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if made.returncode != 0:
            raise RuntimeError(f"initdb: {made.stderr.strip()}")

    def _answers(self) -> bool:
        command = [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, timeout=30).returncode == 0


def _program(name: str) -> Path:
    """Of the newest version that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    if not found:
        raise RuntimeError(f"{name} is missing: run deploy/packages")
    return found[-1]


def _unprivileged() -> list[str]:
    return ["setpriv", f"--reuid={SYSTEM_USER}", f"--regid={SYSTEM_USER}", "--clear-groups"] if os.geteuid() == 0 else []


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="scanpost-postgres-"))
    server = Postgres(folder / "server", folder / "postgres.log")
    try:
        folder.chmod(0o711)
        server.start()
        return subprocess.run(sys.argv[1:], env={**os.environ, "SCANPOST_TEST_POSTGRES": server.server_url}).returncode
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
