"""Fixtures: one mail store and one set of keys for the session, a fresh gateway and empty mailboxes for each scenario."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "deploy"), str(TOP / "tests")]

from lab.keys import Keys  # noqa: E402
from lab.mail_store import MailStore  # noqa: E402
from lab.orthanc import Orthanc  # noqa: E402
from lab.postgres import Postgres  # noqa: E402
from lab.study import ct, mr  # noqa: E402
from peers.sweeps import Sweep  # noqa: E402

import harness  # noqa: E402

MR_IMAGES, CT_IMAGES, BIG_IMAGES = 24, 12, 60


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="the whole of every sweep")
    parser.addoption("--before", action="store_true", help="build the version before as well, as --long does")
    parser.addoption("--seed", type=int, default=1, metavar="N", help="what is drawn by chance: the studies, and the sample of every sweep")
    parser.addoption("--shard", default="1/1", metavar="I/N", help="of every sweep, the I-th of N parts")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """A failed scenario shows the ends of the logs."""
    report = (yield).get_result()
    bench = getattr(item, "funcargs", {}).get("bench")
    if report.failed and call.when == "call" and bench:
        report.sections.append(("logs", bench.logs()))


@pytest.fixture(scope="session")
def scratch():
    """A folder that the mail store's users can reach: pytest's own is closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="scanpost-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def session_store(scratch: Path):
    store = MailStore(scratch / "mail")
    store.start()
    yield store
    store.stop()


@pytest.fixture(scope="session")
def keys(scratch: Path) -> Keys:
    return Keys(scratch / "keys").make()


@pytest.fixture(scope="session")
def session_chromium():
    """One browser: playwright runs once in a process. Without a sandbox, since the tests may run as root and the pages are ours; graphics in software."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[
            "--no-sandbox", "--disable-dev-shm-usage", "--ignore-certificate-errors", "--force-color-profile=srgb", "--use-angle=swiftshader",
            "--enable-unsafe-swiftshader"])
        yield browser
        browser.close()


@pytest.fixture
def chromium(session_chromium: Browser):
    """The session's browser. A page that is left open goes on drawing and asking while other scenarios run."""
    yield session_chromium
    for context in session_chromium.contexts:
        context.close()


@pytest.fixture
def store(session_store: MailStore) -> MailStore:
    """The session's store, running as it should, with empty mailboxes."""
    if not all(session_store.status().values()):
        session_store.start()
    harness.empty_mailboxes(session_store)
    return session_store


@pytest.fixture
def bench(tmp_path: Path, store: MailStore, keys: Keys):
    bench = harness.Bench(tmp_path, store, keys)
    yield bench
    bench.gateway.stop()
    # Whatever the scenario was about: what its gateway did must be a path of the queue's model.
    bench.gateway.replay()


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    return request.config.getoption("--seed")


@pytest.fixture(scope="session")
def mr_study(scratch: Path, seed: int) -> list[Path]:
    """A generated head MR, small enough for many scenarios."""
    return harness.generated(scratch / "mr", mr, MR_IMAGES, 6 + seed)


@pytest.fixture(scope="session")
def ct_study(scratch: Path, seed: int) -> list[Path]:
    return harness.generated(scratch / "ct", ct, CT_IMAGES, 7 + seed)


@pytest.fixture(scope="session")
def big_study(scratch: Path, seed: int) -> list[Path]:
    """Large enough that each stage lasts longer than a look at it."""
    return harness.generated(scratch / "big", ct, BIG_IMAGES, 20 + seed)


@pytest.fixture
def postgres(scratch: Path, bench: harness.Bench):
    """For the journal of the bench's gateway."""
    server = Postgres(scratch / f"postgres-{bench.folder.name}", bench.folder / "log" / "postgres.log").start()
    bench.extra_logs.append(server.log)
    yield server
    server.stop()


@pytest.fixture
def pacs(tmp_path: Path, bench: harness.Bench):
    """An empty Orthanc that the gateway may ask."""
    orthanc = Orthanc(tmp_path / "pacs", tmp_path / "log" / "orthanc.log")
    bench.extra_logs.append(orthanc.log)
    orthanc.start()
    yield orthanc
    orthanc.stop()


@pytest.fixture
def is_long(request: pytest.FixtureRequest) -> bool:
    return request.config.getoption("--long")


@pytest.fixture
def sweep(request: pytest.FixtureRequest, is_long: bool, seed: int) -> Callable[[str], Sweep]:
    """A sweep by its name."""
    part, parts = map(int, request.config.getoption("--shard").split("/"))
    return lambda name: Sweep(TOP / "target/sweeps" / f"{name}.jsonl", is_long, (part, parts), request.path, seed)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real studies beside the project; without them the scenario says so and is counted as skipped."""
    for candidate in (os.environ.get("SCANPOST_DATA"), TOP.parent / "shared" / "data"):
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    pytest.skip("no real studies: set SCANPOST_DATA to a folder of series folders")
