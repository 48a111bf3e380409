"""Phones that pull one whole study each, all at once, from one portal; and as many clients that get the same bytes from nginx over TLS and HTTP/2.

Portal and nginx take turns, under the same client (h2load of nghttp2) on the same processors. The portal's cache of ciphertext holds the study, as it
does after the first phone. Prints bytes a second of both and their ratio, how far the times of the phones lie apart, and the portal's memory.

usage: benches/portal [--phones 200] [--sessions 10] [--images 150] [--rounds 5] [--json FILE]
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP / "deploy"), str(TOP / "tests"), str(TOP / "tests" / "scenarios")]

from lab.keys import Keys  # noqa: E402
from lab.mail_store import MailStore  # noqa: E402
from lab.portal import Phone, Portal  # noqa: E402
from lab.ports import free_port  # noqa: E402
from lab.process import Child  # noqa: E402
from lab.study import mr  # noqa: E402

import harness  # noqa: E402
from test_portal import deliver, pieces  # noqa: E402

WAIT_S = 600


@dataclass
class Round:
    """What one round of one server took."""

    seconds: float
    bytes: int
    of_each: list[float]  # seconds from a client's request to its last byte

    @property
    def mb_per_second(self) -> float:
        return self.bytes / self.seconds / 1e6


def load(phones: int, url: str, folder: Path, request: list[str]) -> subprocess.Popen:
    """Clients with a connection each, which make one request."""
    command = ["h2load", "-n", str(phones), "-c", str(phones), "-t", "1", f"--log-file={folder / 'times'}", *request, url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def pull(clients: list[tuple[int, str, list[str]]], folder: Path, size: int) -> Round:
    began = time.monotonic()
    running = []
    for number, (phones, url, request) in enumerate(clients):
        place = folder / f"{time.monotonic_ns()}-{number}"
        place.mkdir(parents=True)
        running.append((phones, place, load(phones, url, place, request)))
    of_each: list[float] = []
    for phones, place, child in running:
        said, _ = child.communicate(timeout=WAIT_S)
        # Start of the request in µs since 1970, status, µs until the last byte.
        lines = [line.split() for line in (place / "times").read_text().splitlines()]
        if child.returncode != 0 or len(lines) != phones or any(status != "200" for _, status, _ in lines) or f"{phones} succeeded" not in said:
            sys.exit(f"not every client was answered:\n{said[-2000:]}")
        of_each += [int(micros) / 1e6 for _, _, micros in lines]
    return Round(time.monotonic() - began, size * sum(phones for phones, _, _ in clients), of_each)


def nginx(folder: Path, keys: Keys, content: bytes) -> tuple[Child, int]:
    port = free_port()
    root = folder / "files"
    root.mkdir(parents=True)
    (root / "study").write_bytes(content)
    for path in (folder, root, root / "study"):
        path.chmod(0o755)
    config = folder / "nginx.conf"
    config.write_text(f"""
daemon off; worker_processes auto; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; types {{}} default_type application/octet-stream;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port} ssl http2; server_name localhost; root {root};
    ssl_certificate {keys.certificate("portal")}; ssl_certificate_key {keys.key("portal")}; ssl_protocols TLSv1.3;
  }}
}}
""")
    child = Child(["nginx", "-c", config, "-p", folder], folder / "log")
    deadline = time.monotonic() + 10
    while not (folder / "pid").exists():
        if time.monotonic() > deadline:
            sys.exit(f"nginx does not start\n{child.log_tail()}")
        time.sleep(0.05)
    return child, port


def resident_mb(pid: int) -> float:
    """VmRSS, proc(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmRSS:"))


def signed_in(portal: Portal, sessions: int) -> list[Phone]:
    """Phones of as many accounts, which read one mailbox: a code of an account is good once in half a minute."""
    phones = []
    for number in range(sessions):
        phone, account = portal.phone(), portal.add_account(f"phone{number}", "doctor")
        answer = phone.by_password(account)
        if answer.status != 200:
            sys.exit(f"a phone cannot sign in: {answer.status} {answer.body!r}")
        phone.add_passkey()
        phones.append(phone)
    return phones


def fairness(rounds: list[Round]) -> dict:
    """By how much the slowest and the quickest twentieth lie from the middle, medians of the rounds."""
    def spread(one: Round) -> tuple[float, float, float]:
        ordered = sorted(one.of_each)
        at = lambda share: ordered[max(0, math.ceil(share * len(ordered)) - 1)]
        return at(0.5), at(0.95) / at(0.5), at(0.05) / at(0.5)
    middle, slow, quick = (statistics.median(values) for values in zip(*map(spread, rounds)))
    return {"median_s": round(middle, 2), "p95_to_median": round(slow, 2), "p5_to_median": round(quick, 2)}


def main() -> int:
    parser = argparse.ArgumentParser(usage=__doc__)
    for name, default in (("phones", 200), ("sessions", 10), ("images", 150), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="scanpost-bench-portal-"))
    folder.chmod(0o755)
    study = folder / "study"
    study.mkdir()
    mr.generate(study, arguments.images, 1)
    store, keys = MailStore(folder / "mail"), Keys(folder / "keys").make()
    store.start()
    bench = harness.Bench(folder, store, keys)
    portal = Portal(folder / "portal", folder / "log" / "portal.log", store, keys, free_port()).start()
    children = []
    try:
        delivery = deliver(bench, sorted(study.iterdir()))
        bench.gateway.stop()
        sealed = pieces(bench, delivery)
        content = b"".join(sealed[number] for number in sorted(sealed))
        body = folder / "ranges.json"
        body.write_text(json.dumps({"ranges": [[number, 0, len(sealed[number])] for number in sorted(sealed)]}))
        phones = signed_in(portal, arguments.sessions)
        first = phones[0].ranges(delivery, [(number, 0, len(sealed[number])) for number in sorted(sealed)])
        if first.body != content:
            sys.exit("the portal's bytes are not those of the mailbox")
        server, port = nginx(folder / "nginx", keys, content)
        children.append(server)
        of_session = [arguments.phones // arguments.sessions + (number < arguments.phones % arguments.sessions) for number in range(arguments.sessions)]
        headers = ["-H", "X-Scanpost: 1", "-H", "Content-Type: application/json", "-H", f"Origin: {portal.origin}", "-d", str(body)]
        cookie = lambda phone: ["-H", "Cookie: " + "; ".join(f"{name}={value}" for name, value in phone.cookies.items())]
        ours = [(count, f"{portal.url}/api/deliveries/{delivery}/ranges", [*headers, *cookie(phone)]) for count, phone in zip(of_session, phones)]
        theirs = [(count, f"https://localhost:{port}/study", []) for count in of_session]
        memory: list[float] = []
        stopped = threading.Event()

        def watch() -> None:
            while not stopped.wait(0.1):
                memory.append(resident_mb(portal.child.pid))
        threading.Thread(target=watch, daemon=True).start()
        idle_mb = resident_mb(portal.child.pid)
        rounds: dict[str, list[Round]] = {"portal": [], "nginx": []}
        peaks = []
        for number in range(arguments.rounds + 1):
            seen = len(memory)
            for name, clients in (("portal", ours), ("nginx", theirs)):
                one = pull(clients, folder / "load", len(content))
                # The first round warms both.
                if number:
                    rounds[name].append(one)
            peaks.append(max(memory[seen:], default=idle_mb))
        stopped.set()
    finally:
        for child in children:
            child.stop()
        portal.stop()
        bench.gateway.stop()
        store.stop()
    ratios = [one.mb_per_second / other.mb_per_second for one, other in zip(rounds["portal"], rounds["nginx"])]
    result = {
        "phones": arguments.phones, "sessions": arguments.sessions, "study_bytes": len(content), "rounds": arguments.rounds,
        "mb_per_second": {name: round(statistics.median(one.mb_per_second for one in all_), 1) for name, all_ in rounds.items()},
        "ratio": round(statistics.median(ratios), 2), "ratios": [round(ratio, 2) for ratio in ratios],
        "fairness": {name: fairness(all_) for name, all_ in rounds.items()},
        "memory_mb": {"before": round(idle_mb, 1), "largest_of_each_round": [round(peak, 1) for peak in peaks]},
    }
    print(f"{arguments.phones} phones of {arguments.sessions} sessions, {len(content)} bytes each, medians of {arguments.rounds} rounds in turn")
    for name, all_ in rounds.items():
        print(f"{name:7} {result['mb_per_second'][name]:8.1f} MB/s   a phone: median {result['fairness'][name]['median_s']} s, "
              f"p95 {result['fairness'][name]['p95_to_median']} x, p5 {result['fairness'][name]['p5_to_median']} x of it")
    print(f"portal / nginx: {result['ratio']} ({', '.join(map(str, result['ratios']))})")
    print(f"memory of the portal: {result['memory_mb']}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
