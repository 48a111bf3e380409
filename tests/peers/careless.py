"""Servers as somebody set them up who did not think: real programs, each on a loopback address of its own, each also in a careful way."""

import contextlib
import http.server
import random
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from lab.ports import is_listening
from lab.process import Child

START_SECONDS_MAX = 20
# RFC 5905 6: from 1900 to 1970.
TO_1970 = 2_208_988_800


def own_address() -> str:
    """A loopback address of which every port is free: well-known ports can be used beside other programs of the machine."""
    return f"127.{random.randint(64, 254)}.{random.randint(0, 254)}.{random.randint(1, 254)}"


def _wait(address: str, port: int, child: Child | None = None) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not is_listening(port, address):
        if time.monotonic() > deadline or (child and not child.is_running()):
            raise RuntimeError(f"nobody listens on {address}:{port}\n{child.log_tail() if child else ''}")
        time.sleep(0.05)


@contextlib.contextmanager
def listening(address: str, port: int, kind: int = socket.SOCK_STREAM) -> Iterator[None]:
    """A socket that takes connections, or datagrams, and says nothing."""
    with socket.socket(type=kind) as open_socket:
        open_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        open_socket.bind((address, port))
        if kind == socket.SOCK_STREAM:
            open_socket.listen()
        yield


@contextlib.contextmanager
def running(command: list[object], address: str, port: int, log: Path) -> Iterator[None]:
    child = Child(command, log)
    try:
        _wait(address, port, child)
        yield
    finally:
        child.stop()


@contextlib.contextmanager
def postfix(address: str, ports: tuple[int, ...], *lines: str) -> Iterator[None]:
    """A Postfix without TLS, and without the service that would deliver; `lines` are more of its main.cf. Its folder is its own: the path of a socket in it
    may have 107 characters."""
    with tempfile.TemporaryDirectory(prefix="postfix-") as folder, _postfix_in(Path(folder), address, ports, lines):
        yield


@contextlib.contextmanager
def _postfix_in(folder: Path, address: str, ports: tuple[int, ...], lines: tuple[str, ...]) -> Iterator[None]:
    folder.chmod(0o755)
    for name in ("queue", "data", "etc"):
        (folder / name).mkdir(mode=0o755)
    shutil.chown(folder / "data", "postfix")
    (folder / "etc" / "main.cf").write_text("\n".join([
        "compatibility_level = 3.6", f"queue_directory = {folder}/queue", f"data_directory = {folder}/data", "command_directory = /usr/sbin",
        "daemon_directory = /usr/lib/postfix/sbin", "mail_owner = postfix", "setgid_group = postdrop", f"multi_instance_name = {folder.name}",
        "multi_instance_enable = yes", f"maillog_file = {folder}/postfix.log", f"maillog_file_prefixes = {folder}", "myhostname = mail.scanpost.test",
        "inet_interfaces = 127.0.0.1", "inet_protocols = ipv4", "mydestination =", "alias_maps =", "alias_database =", "local_transport = error:none",
        "default_transport = smtp", "relay_transport = smtp", *lines]) + "\n")
    services = [f"{address}:{port} inet n - n - - smtpd" for port in ports]
    (folder / "etc" / "master.cf").write_text("\n".join([
        *services, "cleanup unix n - n - 0 cleanup", "qmgr unix n - n 300 1 qmgr", "rewrite unix - - n - - trivial-rewrite", "bounce unix - - n - 0 bounce",
        "defer unix - - n - 0 bounce", "error unix - - n - - error", "retry unix - - n - - error", "proxymap unix - - n - - proxymap",
        "anvil unix - - n - 1 anvil", "postlog unix-dgram n - n - 1 postlogd"]) + "\n")
    output = folder / "output"
    with output.open("w") as written:
        if subprocess.run(["postfix", "-c", folder / "etc", "start"], stdin=subprocess.DEVNULL, stdout=written, stderr=written).returncode != 0:
            raise RuntimeError(output.read_text())
    try:
        _wait(address, ports[0])
        yield
    finally:
        with output.open("w") as written:
            subprocess.run(["postfix", "-c", folder / "etc", "stop"], stdin=subprocess.DEVNULL, stdout=written, stderr=written, check=True)


@contextlib.contextmanager
def dovecot(folder: Path, address: str, certificate: Path, key: Path, *lines: str) -> Iterator[None]:
    """IMAP on its usual port, where nobody has a mailbox; `lines` are more of its configuration."""
    for name in ("run", "state"):
        (folder / name).mkdir(parents=True)
    configuration = folder / "dovecot.conf"
    configuration.write_text("\n".join([
        f"base_dir = {folder}/run", f"state_dir = {folder}/state", f"instance_name = {folder.name}", "protocols = imap", f"listen = {address}",
        f"log_path = {folder}/log", f"ssl_cert = <{certificate}", f"ssl_key = <{key}", "passdb {", "driver = passwd-file", "args = /dev/null", "}",
        "userdb {", "driver = passwd-file", "args = /dev/null", "}", "service imap-login {", "inet_listener imaps {", "port = 0", "}", "}", *lines]) + "\n")
    with running(["dovecot", "-F", "-c", configuration], address, 143, folder / "output"):
        yield


@contextlib.contextmanager
def vsftpd(folder: Path, address: str, *lines: str) -> Iterator[None]:
    """FTP on its usual port."""
    (folder / "open" / "empty").mkdir(parents=True)
    configuration = folder / "vsftpd.conf"
    configuration.write_text("\n".join([
        "listen=YES", f"listen_address={address}", "background=NO", "local_enable=YES", f"anon_root={folder}/open",
        f"secure_chroot_dir={folder}/open/empty", *lines]) + "\n")
    with running(["/usr/sbin/vsftpd", configuration], address, 21, folder / "vsftpd.log"):
        yield


@contextlib.contextmanager
def tinyproxy(folder: Path, address: str, *lines: str) -> Iterator[None]:
    folder.mkdir()
    configuration = folder / "tinyproxy.conf"
    configuration.write_text("\n".join(["Port 8888", f"Listen {address}", "Timeout 20", "MaxClients 10", *lines]) + "\n")
    with running(["/usr/bin/tinyproxy", "-d", "-c", configuration], address, 8888, folder / "tinyproxy.log"):
        yield


@contextlib.contextmanager
def s_server(folder: Path, port: int, certificate: Path, key: Path, *arguments: str) -> Iterator[None]:
    """`openssl s_server`, in versions that a Postfix of today no longer takes."""
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", certificate, "-key", key, "-quiet", "-naccept", "1000", *arguments]
    with running(command, "127.0.0.1", port, folder / f"s_server-{port}.log"):
        yield


@contextlib.contextmanager
def web_server(folder: Path, address: str, port: int = 8000) -> Iterator[None]:
    """`python3 -m http.server`, as left running by somebody who wanted to copy a file."""
    folder.mkdir(exist_ok=True)
    command = ["python3", "-m", "http.server", str(port), "--bind", address, "--directory", folder]
    with running(command, address, port, folder.with_suffix(".log")):
        yield


@contextlib.contextmanager
def quiet_web_server(address: str, port: int = 8000) -> Iterator[None]:
    """One that tells neither its program nor what lies in its folder."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(403)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((address, port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def time_server(address: str, ahead_seconds: float) -> Iterator[int]:
    """SNTP (RFC 5905) by a clock that is so much ahead of this machine's; gives its port."""
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind((address, 0))

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    question, client = server.recvfrom(48)
                    if not question:
                        return
                    stamp = struct.pack(">Q", int((time.time() + ahead_seconds + TO_1970) * 2**32) & (2**64 - 1))
                    server.sendto(bytes([0x24, 2, 6, 0xEC]) + bytes(20) + question[40:48] + stamp + stamp, client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            with socket.socket(type=socket.SOCK_DGRAM) as last:
                last.sendto(b"", server.getsockname())
            thread.join()


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int, files: int = 1_000_000) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,nr_inodes={files},mode=700", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)
