"""What every scenario needs: a fresh gateway and reader on the session's mail store, and words for what must hold."""

import hashlib
import json
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pydicom
from axe_playwright_python.sync_playwright import Axe
from lab import compare, mail_store, openssl, page
from lab.api import Api
from lab.gateway import Gateway, Settings
from lab.keys import Keys
from lab.mail_store import MailStore
from lab.mailbox import Mailbox, Message
from lab.postgres import Postgres
from lab.process import log_tail
from lab.reader import Reader
from playwright.sync_api import Page

DONE = ("notified", "pulled")
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
# What can be tapped and is smaller than a finger.
SMALL = """[...document.querySelectorAll('button,input,summary,a')].filter(one => one.getClientRects().length
  && (one.getBoundingClientRect().height < 43.5 || one.getBoundingClientRect().width < 43.5)).map(one => one.outerHTML)"""
EXIT_DONE, EXIT_INCOMPLETE, EXIT_REFUSED, EXIT_MAILBOX = 0, 2, 3, 4


def too_small(screen: Page) -> list[str]:
    """All that is tapped has 44 px."""
    return screen.evaluate(SMALL)


def generated(folder: Path, study: ModuleType, images: int, seed: int) -> list[Path]:
    """A study of `lab.study` in a folder of its own."""
    folder.mkdir()
    study.generate(folder, images, seed=seed)
    return sorted(folder.glob("*.dcm"))


def barriers(screen: Page) -> list[str]:
    """Violations of WCAG 2.2 AA that axe finds on a page."""
    found = Axe().run(screen, options=WCAG).response["violations"]
    return [f"{one['id']}: {[node['target'] for node in one['nodes']]}: {one['help']}" for one in found]


class Bench:
    """One scenario's gateway and reader. `settings` may be changed before `start`."""

    def __init__(self, folder: Path, store: MailStore, keys: Keys):
        self.folder, self.store, self.keys = folder, store, keys
        self.settings = Settings()
        self.log = folder / "log" / "gateway.log"
        self.gateway = Gateway(folder / "gateway", self.log, store, keys, self.settings)
        self.reader = self.reader_of("doctor")
        self.extra_logs: list[Path] = []

    def configure(self, **settings: object) -> "Bench":
        for name, value in settings.items():
            setattr(self.settings, name, value)
        return self

    def start(self, **settings: object) -> Gateway:
        return self.configure(**settings).gateway.start()

    def start_with_page(self, **settings: object) -> Gateway:
        """With the technician's page, where only administrators need codes, and studies that wait there."""
        page.make_certificate(self.keys)
        lines = page.lines(self.keys, self.page_port_file, 'second_factor = "administrators"')
        return self.start(**{"page_lines": lines, "hold": page.HOLD, **settings})

    def api(self, name: str = "pacs", role: str = "technician") -> Api:
        """The page's interface for a program of this name."""
        return Api(self.gateway.config, self.page_port_file, self.keys.ca, name, role)

    @property
    def page_port_file(self) -> Path:
        return self.folder / "page.port"

    @property
    def port(self) -> int:
        return self.gateway.port

    def reader_of(self, doctor: str) -> Reader:
        return Reader(self.folder / "reader" / f"{doctor}.toml", self.folder / "pulled" / doctor, self.store, self.keys, doctor)

    def pull(self, reader: Reader | None = None, expect: int = EXIT_DONE, arguments: tuple[str, ...] = ()) -> str:
        """Pulls and checks the exit code; what the reader said comes back. Where all is to be there, the mail store has its time to put it there."""
        if expect == EXIT_DONE:
            self.store.wait_until_handed_over()
        result = (reader or self.reader).pull(*arguments)
        words = f"exit {result.returncode}\n{result.stdout}{result.stderr}"
        assert result.returncode == expect, f"scanpost-reader pull was to end with {expect}: {words}"
        return words

    def deliver_and_pull(self, count: int = 1, seconds: float = 120) -> list[dict]:
        """From the last press to the verified receipt."""
        self.gateway.wait_for_state(*DONE, count=count, seconds=seconds)
        self.pull()
        return self.gateway.wait_for_state("pulled", count=count)

    def wait_for_log(self, words: str, count: int = 1, seconds: float = 60) -> None:
        self.gateway.wait_for(f"{words!r} in the log", lambda _: self.log.read_text().count(words) >= count, seconds)

    def wait_for_instances(self, least: int, seconds: float = 120) -> None:
        def arrived(deliveries: list[dict]) -> bool:
            return sum(one["instances"] for one in deliveries) >= least and all(one["state"] in DONE for one in deliveries)
        self.gateway.wait_for(f"{least} instances delivered", arrived, seconds)

    def logs(self) -> str:
        return "\n".join([log_tail(self.log, 60), self.store.log_tail(), *(log_tail(path) for path in self.extra_logs)])

    def state_bytes(self) -> list[Path]:
        """Every log this scenario wrote: no patient data may be in them."""
        return [self.log, *(self.store.dir / "log" / name for name in ("postfix.log", "dovecot.log"))]


def keep_journal_in(gateway: Gateway, server: Postgres, port: int | None = None, shared: bool = False) -> None:
    """`port`: of what is between them; `shared`: others may take over from it."""
    gateway.folder.mkdir(parents=True, exist_ok=True)
    url_file = gateway.folder / "postgres.url"
    openssl.write_secret(url_file, server.url.replace(f":{server.port}/", f":{port or server.port}/").encode())
    gateway.extra_configuration = f'[journal]\npostgres_url_file = "{url_file}"\nshared_state = {str(shared).lower()}\n'


def assert_equal_elements(sent: list[Path], pulled: list[Path]) -> None:
    """Every sent instance is there once and equal by pydicom, and nothing else is."""
    result = compare.compare_folders(sent, pulled)
    assert result.equal and result.pulled == result.identical, result


def assert_equal_bytes(sent: list[Path], pulled: list[Path]) -> None:
    """The data sets are the same byte strings, each as often."""
    expected, found = (Counter(map(data_set_digest, paths)) for paths in (sent, pulled))
    lost = [path.name for path in sent if data_set_digest(path) in expected - found]
    added = [str(path) for path in pulled if data_set_digest(path) in found - expected]
    assert expected == found, f"{len(sent)} sent, {len(pulled)} pulled; lost: {lost}; not sent, or once too often: {added}"


def wait_until(what: str, condition: Callable[[], object], seconds: float = 60, every_s: float = 0.1) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(every_s)


@contextmanager
def going_on(act: Callable[[], object], every_s: float):
    """Beside the block, again and again, with a pause before each; complete at its end."""
    is_over = threading.Event()

    def go_on() -> None:
        while not is_over.wait(every_s):
            act()

    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(go_on)
        try:
            yield
        finally:
            is_over.set()
        going.result()


def uid_of(path: Path) -> str:
    return str(pydicom.filereader.read_file_meta_info(path).MediaStorageSOPInstanceUID)


def data_set_digest(path: Path) -> str:
    return hashlib.sha256(data_set_bytes(path)).hexdigest()


def data_set_bytes(path: Path) -> bytes:
    """What follows the meta group (PS3.10 7.1): (0002,0000) says how long that is. A `.bin` file is the bare data set."""
    content = path.read_bytes()
    if path.suffix == ".bin":
        return content
    assert content[128:132] == b"DICM" and content[132:140] == b"\x02\x00\x00\x00UL\x04\x00", path.name
    return content[144 + int.from_bytes(content[140:144], "little") :]


def complaints(path: Path) -> set[str]:
    """Errors that dciodvfy finds by the IODs of PS3.3, without the values in them."""
    output = subprocess.run(["dciodvfy", path], capture_output=True, text=True, errors="replace", timeout=60)
    return {re.sub(r"2\.25\.\d+|= <[^>]*>", "", line) for line in (output.stderr + output.stdout).splitlines() if line.startswith("Error")}


def assert_no_new_errors(pairs: Iterable[tuple[Path, Path]]) -> None:
    """dciodvfy finds in none what it does not find in the one that it comes of, which stands first."""
    for source, path in pairs:
        new = complaints(path) - complaints(source)
        assert not new, (source.name, new)


def messages(store: MailStore, user: str) -> list[Message]:
    with Mailbox(store, user) as mailbox:
        return mailbox.messages()


def header(message: Message, name: str) -> str:
    from email import message_from_bytes, policy
    return str(message_from_bytes(message.content, policy=policy.default)[name] or "")


def completeness(delivery: dict) -> dict:
    """`{"is": "proved", "instances": n}` and its kin."""
    value = delivery["completeness"]
    return json.loads(value) if isinstance(value, str) else value


def empty_mailboxes(store: MailStore) -> None:
    for user in mail_store.USERS:
        with Mailbox(store, user) as mailbox:
            mailbox.empty()
