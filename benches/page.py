"""Milliseconds of the technician's page while it is busy, and the memory of the gateway meanwhile.

A real gateway receives the studies by C-STORE and holds them. Some are pressed by the interface for programs, and their deliveries stay under
way against a mail server that takes its time. Screens are signed in, each with its live line, half of them searching; others ask for every page and
every search in turn.

usage: benches/page [--studies 2000] [--deliveries 50] [--screens 12] [--askers 4] [--seconds 180] [--json FILE]
"""
import argparse
import http.client
import json
import re
import socket
import ssl
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "deploy"), str(TOP / "tests")]

import pydicom
from lab import page
from lab.api import Api
from lab.gateway import Gateway, Settings
from lab.keys import Keys
from lab.study import mr
from peers.mail_servers import _listen, _loop

P95_MS_MAX = 200  # asked for
FAMILIES = [("Yamada", "山田", "やまだ"), ("Suzuki", "鈴木", "すずき"), ("Tanaka", "田中", "たなか"), ("Sato", "佐藤", "さとう"), ("Ito", "伊藤", "いとう")]
# Seconds of the slow mail server for one answer: a piece takes some of them.
ANSWER_SECONDS = 1.0
SEND_AT_ONCE = 50


class SlowMailServer:
    """SMTP over TLS that takes everything, slowly: each delivery stays under way."""

    def __init__(self, context: ssl.SSLContext):
        self.context, self.taken, self._stopped = context, 0, threading.Event()
        self._listener = _listen()
        self.port = self._listener.getsockname()[1]
        _loop(self._serve, self._listener, self._stopped)

    def stop(self) -> None:
        self._stopped.set()
        self._listener.close()

    def _serve(self, plain: socket.socket) -> None:
        try:
            stream = self.context.wrap_socket(plain, server_side=True)
            lines = stream.makefile("rb")
            stream.sendall(b"220 here ESMTP\r\n")
            for line in lines:
                command = line[:4].upper()
                if command == b"EHLO":
                    stream.sendall(b"250-here\r\n250-8BITMIME\r\n250-SIZE 100000000\r\n250 AUTH PLAIN LOGIN\r\n")
                elif command == b"AUTH":
                    stream.sendall(b"235 welcome\r\n")
                elif command == b"DATA":
                    stream.sendall(b"354 go on\r\n")
                    while lines.readline() not in (b".\r\n", b""):
                        pass
                    time.sleep(ANSWER_SECONDS)
                    self.taken += 1
                    stream.sendall(b"250 taken\r\n")
                else:
                    time.sleep(ANSWER_SECONDS / 4)
                    stream.sendall(b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n")
        except (ssl.SSLError, OSError):
            pass
        finally:
            plain.close()


@dataclass
class NoStore:
    """What `Gateway` wants to know of a mail store: mail is taken slowly, and nobody answers for the mailboxes."""

    smtps_port: int
    imaps_port: int
    ca: Path
    folder: Path

    def password_file(self, user: str) -> Path:
        path = self.folder / f"{user}.password"
        path.write_text("secret")
        path.chmod(0o600)
        return path


@dataclass
class Times:
    """Seconds of each kind of request."""

    of: dict[str, list[float]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, seconds: float) -> None:
        with self.lock:
            self.of.setdefault(kind, []).append(seconds)

    def rows(self) -> list[dict]:
        def row(kind: str, seconds: list[float]) -> dict:
            ordered = sorted(seconds)
            at = lambda share: round(1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)
            return {"what": kind, "requests": len(ordered), "p50_ms": at(0.5), "p95_ms": at(0.95), "max_ms": round(1000 * ordered[-1], 1)}
        return [row(kind, seconds) for kind, seconds in sorted(self.of.items())]


class Screen:
    """A browser without a browser: one connection that is kept, and the cookies."""

    def __init__(self, port: int, trust: ssl.SSLContext, account: page.Account):
        self.port, self.trust, self.cookies = port, trust, {}
        self.connection = self.connect()
        csrf = csrf_of(self.get("/sign-in")[1])
        status, _ = self.post("/sign-in", {"csrf": csrf, "name": account.name, "password": account.password, "code": account.code()})
        if status != 303:
            raise RuntimeError(f"signing in as {account.name} is answered with {status}")
        self.csrf = csrf_of(self.get("/")[1])

    def found(self, fields: dict[str, str]) -> str:
        """Where what is looked for is shown."""
        status, _ = self.post("/search", {"csrf": self.csrf, "q": "", "date": "", "modality": "", **fields})
        if status != 303:
            raise RuntimeError(f"a search is answered with {status}")
        return self.moved_to

    def post(self, path: str, fields: dict[str, str]) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"https://localhost:{self.port}"}
        return self.ask("POST", path, urllib.parse.urlencode(fields), headers)

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("localhost", self.port, timeout=60, context=self.trust)

    def headers(self) -> dict[str, str]:
        return {"Accept-Language": "ja", "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}

    def get(self, path: str) -> tuple[int, bytes]:
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: str | None = None, more: dict[str, str] | None = None) -> tuple[int, bytes]:
        self.connection.request(method, path, body, {**self.headers(), **(more or {})})
        answer = self.connection.getresponse()
        content = answer.read()
        self.moved_to = answer.getheader("Location", "")
        for cookie in answer.msg.get_all("Set-Cookie") or []:
            name, value = cookie.split(";")[0].split("=", 1)
            self.cookies[name] = value
        return answer.status, content

    def follow(self, path: str, stopped: threading.Event, counted: list[int]) -> None:
        """The live line, as long as the screen is open."""
        connection = self.connect()
        connection.request("GET", path, headers=self.headers())
        answer = connection.getresponse()
        while not stopped.is_set() and (line := answer.readline()):
            counted[0] += line.startswith(b"event: rows")
        connection.close()


def csrf_of(form: bytes) -> str:
    return re.search(r'name="csrf" value="([^"]+)"', form.decode())[1]


def write_studies(folder: Path, count: int) -> list[Path]:
    """Studies of one image each, of as many patients."""
    source = folder / "source"
    source.mkdir()
    mr.generate(source, 1, seed=7)
    template = pydicom.dcmread(next(path for path in source.rglob("*") if path.is_file()))
    written = []
    for number in range(count):
        family = FAMILIES[number % len(FAMILIES)]
        template.SpecificCharacterSet = "ISO_IR 192"
        template.PatientName = f"{family[0]}^N{number}={family[1]}^番{number}={family[2]}^ばん{number}"
        template.PatientID, template.AccessionNumber = f"P-{number:05d}", f"A{number:06d}"
        template.StudyDate = f"202603{number % 28 + 1:02d}"
        uid = f"2.25.{7_000_000 + number * 10}"
        template.StudyInstanceUID, template.SeriesInstanceUID, template.SOPInstanceUID = f"{uid}1", f"{uid}2", f"{uid}3"
        template.file_meta.MediaStorageSOPInstanceUID = template.SOPInstanceUID
        written.append(folder / f"{number:05d}.dcm")
        template.save_as(written[-1])
    return written


def send(port: int, files: list[Path]) -> None:
    from pynetdicom import AE
    dataset = pydicom.dcmread(files[0], stop_before_pixels=True)
    entity = AE(ae_title="MODALITY")
    entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", port, ae_title=page.HOLD)
    for path in files:
        status = association.send_c_store(path)
        if not status or status.Status != 0:
            sys.exit(f"C-STORE is answered with {status}")
    association.release()


def memory_bytes(pid: int) -> int:
    """Resident memory now (VmRSS, proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def pages(cases: list[str]) -> list[tuple[str, str | dict[str, str]]]:
    """What a person asks for: an address, or the fields of a search."""
    searches = [("name", "山田"), ("kana", "すずき"), ("roman", "tanaka"), ("id", "P-01234"), ("accession", "A000999"), ("nobody", "zzz")]
    found = [(f"search: {kind}", {"q": words}) for kind, words in searches]
    return [("list", "/"), *found, ("search: date", {"date": "2026-03-14"}), ("search: modality", {"modality": "MR"}),
            ("list, page 2", f"/?after={cases[99]}"), ("list, page 15", f"/?after={cases[-1]}"), ("roster", "/roster"), ("account", "/account")]


def ask_all(screen: Screen, wanted: list[tuple[str, str | dict[str, str]]], offset: int, times: Times, stopped: threading.Event) -> None:
    wanted = wanted[offset % len(wanted):] + wanted[:offset % len(wanted)]
    while not stopped.is_set():
        for kind, path in wanted:
            began = time.monotonic()
            status, content = screen.get(path if isinstance(path, str) else screen.found(path))
            times.add(kind, time.monotonic() - began)
            if status != 200 or b"</html>" not in content:
                sys.exit(f"{path} is answered with {status}")
            # A person looks at a page before the next one.
            if stopped.wait(0.1):
                return


def ask_api(api: Api, cases: list[str], times: Times, stopped: threading.Event) -> None:
    wanted = [("api: studies", "/studies"), ("api: page", f"/studies?after={cases[99]}"), ("api: search", {"q": "佐藤"}),
              ("api: study", f"/studies/{cases[0]}")]
    while not stopped.is_set():
        for kind, path in wanted:
            began = time.monotonic()
            answer = api.get(path) if isinstance(path, str) else api.post("/studies/search", path)
            times.add(kind, time.monotonic() - began)
            if answer.status != 200:
                sys.exit(f"{path} is answered with {answer.status}")
            if stopped.wait(0.25):
                return


def main() -> None:
    parser = argparse.ArgumentParser(usage=__doc__)
    for name, default in (("studies", 2000), ("deliveries", 50), ("screens", 12), ("askers", 4), ("seconds", 180)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scanpost-page-") as scratch:
        measure(arguments, Path(scratch))


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    keys = Keys(folder / "keys").make()
    page.make_certificate(keys)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys.certificate("page"), keys.key("page"))
    mail = SlowMailServer(context)
    store = NoStore(mail.port, 1, keys.ca, folder)
    settings = Settings(hold=page.HOLD, silence_ms=1, settle_ms=0,
                        page_lines=page.lines(keys, folder / "page.port", 'second_factor = "administrators"'))
    gateway = Gateway(folder / "gateway", folder / "gateway.log", store, keys, settings).start()
    try:
        run(arguments, folder, keys, gateway, mail)
    finally:
        gateway.stop()
        mail.stop()


def run(arguments: argparse.Namespace, folder: Path, keys: Keys, gateway: Gateway, mail: SlowMailServer) -> None:
    files = write_studies(folder, arguments.studies)
    began = time.monotonic()
    parts = [files[start : start + SEND_AT_ONCE] for start in range(0, len(files), SEND_AT_ONCE)]
    for part in parts:
        send(gateway.port, part)
    print(f"{len(files)} studies received in {time.monotonic() - began:.0f} s", flush=True)
    boss = page.add_account(gateway.config, "boss", "administrator")
    accounts = [page.add_account(gateway.config, f"sato{number}", "technician", "--no-totp") for number in range(arguments.screens + arguments.askers)]
    api = Api(gateway.config, folder / "page.port", keys.ca)
    cases = all_cases(api)
    assert len(cases) == arguments.studies, f"{len(cases)} studies are listed"
    trust = ssl.create_default_context(cafile=str(keys.ca))
    port = int((folder / "page.port").read_text())
    screens = [Screen(port, trust, account) for account in accounts]
    operator = Screen(port, trust, boss)
    stopped, times, events = threading.Event(), Times(), [0]
    wanted = pages(cases)
    operator_pages = [("figures", "/operator"), ("accounts", "/accounts")]
    def metrics() -> str:
        request = urllib.request.Request(f"https://localhost:{port}/metrics", headers={"Authorization": f"Bearer {api.token}"})
        return urllib.request.urlopen(request, context=trust).read().decode()
    live = lambda index, screen: "/live" + ("" if index % 2 else screen.found({"q": FAMILIES[index % 5][1]})[1:])
    threads = [threading.Thread(target=screen.follow, args=(live(index, screen), stopped, events), daemon=True) for index, screen in enumerate(screens[: arguments.screens])]
    threads += [threading.Thread(target=ask_all, args=(screen, wanted, index * 4, times, stopped), daemon=True)
                for index, screen in enumerate(screens[arguments.screens :])]
    threads += [threading.Thread(target=ask_all, args=(operator, operator_pages, 0, times, stopped), daemon=True),
                threading.Thread(target=ask_api, args=(api, cases, times, stopped), daemon=True)]
    order = lambda case: api.post("/deliveries", {"study": {"case": case}, "doctors": ["doctor"]})
    pressed, under_way, memory = 0, [], []
    for thread in threads:
        thread.start()
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < arguments.seconds:
        asked = time.monotonic()
        going = under_way_now(metrics())
        times.add("metrics", time.monotonic() - asked)
        for _ in range(max(0, arguments.deliveries - going)):
            if pressed < len(cases):
                assert order(cases[pressed]).status in (200, 201)
                pressed += 1
        under_way.append(going)
        memory.append((round(elapsed), memory_bytes(gateway.child.pid)))
        stopped.wait(1)
    stopped.set()
    for thread in threads:
        thread.join(5)
    report(arguments, times.rows(), memory, {"under_way_median": statistics.median(under_way[3:] or under_way), "pressed": pressed,
                                             "pieces_taken": mail.taken, "live_events": events[0]})


def under_way_now(metrics: str) -> int:
    states = dict(re.findall(r'scanpost_deliveries\{state="(\w+)"\} (\d+)', metrics))
    return sum(int(states.get(state, 0)) for state in ("received", "assembled", "compressed", "sealed", "submitted"))


def all_cases(api: Api) -> list[str]:
    cases: list[str] = []
    while part := api.get("/studies" + (f"?after={cases[-1]}" if cases else "")).body:
        cases += [study["case"] for study in part]
    return cases


def report(arguments: argparse.Namespace, rows: list[dict], memory: list[tuple[int, int]], facts: dict) -> None:
    print(f"{'':24}{'requests':>9}{'p50 ms':>9}{'p95 ms':>9}{'max ms':>9}")
    for row in rows:
        print(f"{row['what']:24}{row['requests']:>9}{row['p50_ms']:>9}{row['p95_ms']:>9}{row['max_ms']:>9}")
    print(facts)
    quarter = max(1, len(memory) // 4)
    mean = lambda part: sum(size for _, size in part) / len(part) / 1e6
    print("resident memory, MB, by quarters of the time:", *[f"{mean(memory[start : start + quarter]):.1f}" for start in range(0, len(memory) - quarter + 1, quarter)])
    worst = max(rows, key=lambda row: row["p95_ms"])
    print(f"largest p95: {worst['p95_ms']} ms ({worst['what']}); {P95_MS_MAX} ms asked")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "memory": memory, **facts}, indent=1))


if __name__ == "__main__":
    main()
