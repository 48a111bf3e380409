"""Load for long: CT and MR in turn as fast as they go, over a line to the mail store that loses packets. Nothing is lost or doubled, each case is closed and
deleted. Half a minute at each run; half an hour by `--long`, after which memory and descriptors of gateway and portal must be as they were once they were warm."""

import contextlib
import itertools
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from lab.api import Api
from lab.keys import Keys
from lab.mail_store import MailStore
from lab.portal import Portal
from lab.ports import free_port
from lab.process import children
from lab.study import header
from peers import senders
from peers.own_network import own_network

import harness
from harness import Bench
from test_portal import enrolled

SOAK_SECONDS, SOAK_SECONDS_LONG = 20, 1_800
# Of the packets of SMTPS and IMAPS, in each direction.
LOST_PERCENT = 5
MTU_BYTES = 1_500
# Studies that are with the gateway at once: more make its queue longer, not what goes through.
UNDER_WAY_MAX = 3
LOOK_SECONDS = 5
# Of the run, until it is warm.
WARM_UP = 1 / 3
SLOPE_MB_AN_HOUR_MAX = 1
STUDY_SECONDS_MAX = 300


@dataclass
class Look:
    """What a process and those that it started had at a time: private memory in bytes, and open descriptors."""

    seconds: float
    memory: int
    descriptors: int

    @staticmethod
    def at(pid: int, seconds: float) -> "Look":
        memory, descriptors = _has(pid)
        for child in children(pid):
            # It may end meanwhile.
            with contextlib.suppress(OSError, ValueError):
                more = _has(child)
                memory, descriptors = memory + more[0], descriptors + more[1]
        return Look(seconds, memory, descriptors)


def _has(pid: int) -> tuple[int, int]:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("RssAnon:")]
    return int(line.split()[1]) * 1024, len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.fixture
def network() -> Iterator[None]:
    with own_network():
        # As large as on a line, so that what is lost is a packet.
        subprocess.run(["ip", "link", "set", "lo", "mtu", str(MTU_BYTES), "gso_max_segs", "1"], check=True)
        yield


@pytest.fixture
def store(network: None, scratch: Path) -> Iterator[MailStore]:
    store = MailStore(scratch / "soak-mail")
    store.start()
    yield store
    store.stop()


def lose_packets(*ports: int) -> None:
    """At random, of what goes to and comes from these ports of this network."""
    lines = [f"th {end} {port} numgen random mod 100 < {LOST_PERCENT} counter drop" for port in ports for end in ("dport", "sport")]
    rules = "\n".join(["table inet loss {", "chain in {", "type filter hook input priority 0", *lines, "}", "}", ""])
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


def lost_packets() -> int:
    told = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout.split()
    return sum(int(count) for word, count in itertools.pairwise(told) if word == "packets")


class Load:
    """Studies on their way, from the sender to the proof that nothing of them is left: the templates in turn, each time with UIDs of its own."""

    def __init__(self, bench: Bench, api: Api, templates: list[list[Path]]):
        self.bench, self.api, self.templates = bench, api, templates
        self.folder = bench.folder / "sent"
        self.sent: dict[str, list[str]] = {}  # digests of the data sets, by study
        self.pulled: Counter = Counter()
        self.closed: set[str] = set()
        self.bytes = 0

    def send(self) -> None:
        number = len(self.sent)
        study, folder = header.uid("soak", number), self.folder / str(number)
        folder.mkdir(parents=True)
        for path in self.templates[number % len(self.templates)]:
            data_set = pydicom.dcmread(path)
            data_set.StudyInstanceUID = study
            data_set.SeriesInstanceUID = header.uid(study, data_set.SeriesInstanceUID)
            data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = header.uid(study, data_set.SOPInstanceUID)
            header.write(data_set, folder / path.name)
        files = sorted(folder.iterdir())
        senders.storescu(self.bench.port, "DR_DEMO", files)
        self.sent[study] = [harness.data_set_digest(path) for path in files]
        self.bytes += sum(path.stat().st_size for path in files)
        for path in files:
            path.unlink()

    def pull_and_close(self) -> None:
        """What has arrived is compared, and each case that the doctor has is closed."""
        self.bench.pull()
        for path in self.bench.reader.files():
            self.pulled[harness.data_set_digest(path)] += 1
            path.unlink()
        for one in self.bench.gateway.deliveries():
            if one["state"] == "pulled" and one["case"] not in self.closed:
                assert self.api.post(f"/studies/{one['case']}/close").status == 204
                self.closed.add(one["case"])

    def images_waiting(self) -> int:
        """A study whose sender paused on a busy machine is two deliveries."""
        done = (one["instances"] for one in self.bench.gateway.deliveries() if one["state"] in harness.DONE or one["ended"])
        return sum(map(len, self.sent.values())) - sum(done)

    def is_all_proved(self) -> bool:
        return all(one["ended"] and one["ended"]["proved_at_ms"] for one in self.bench.gateway.deliveries())


def test_for_as_long_as_it_takes_nothing_is_lost_and_nothing_grows(bench: Bench, ct_study: list[Path], mr_study: list[Path], is_long: bool):
    bench.start_with_page(silence_ms=500, settle_ms=100)
    portal = Portal(bench.folder / "portal", bench.folder / "log" / "portal.log", bench.store, bench.keys, free_port())
    bench.extra_logs.append(portal.log)
    portal.start()
    try:
        phone, _ = enrolled(portal, portal.add_account("doctor"))
        lose_packets(bench.store.smtps_port, bench.store.imaps_port)
        load = Load(bench, bench.api(), [ct_study, mr_study])
        processes = {"gateway": bench.gateway.child.pid, "portal": portal.child.pid}
        looks: dict[str, list[Look]] = {name: [] for name in processes}
        # Between studies, when nothing is under way: what is there then and was not before has stayed.
        rests: dict[str, list[Look]] = {name: [] for name in processes}
        begin = time.monotonic()
        length = SOAK_SECONDS_LONG if is_long else SOAK_SECONDS

        def look(into: dict[str, list[Look]]) -> None:
            for name, pid in processes.items():
                into[name].append(Look.at(pid, time.monotonic() - begin))

        with harness.going_on(lambda: look(looks), LOOK_SECONDS):
            while time.monotonic() - begin < length:
                load.send()
                if len(load.sent) % UNDER_WAY_MAX == 0:
                    harness.wait_until("the studies before", lambda: load.images_waiting() == 0, STUDY_SECONDS_MAX)
                    load.pull_and_close()
                    assert phone.get("/api/home").status == 200
                    look(rests)
            took = time.monotonic() - begin
            harness.wait_until("all studies", lambda: load.images_waiting() == 0, STUDY_SECONDS_MAX)
            harness.wait_until("all receipts and proofs", lambda: load.pull_and_close() or load.is_all_proved(), STUDY_SECONDS_MAX)
        expected = Counter(digest for digests in load.sent.values() for digest in digests)
        print(f"\n{len(load.sent)} studies, {sum(expected.values())} images, {load.bytes / 1e6:.0f} MB in {took:.0f} s: "
              f"{3600 * len(load.sent) / took:.0f} studies an hour, {load.bytes / took / 1e6:.1f} MB/s; {lost_packets()} packets lost")
        assert load.pulled == expected, f"lost {expected - load.pulled}, doubled {load.pulled - expected}"
        assert lost_packets() > 0
        for name in processes:
            report(name, looks[name])
            if is_long:
                warm = [one for one in rests[name] if one.seconds > length * WARM_UP]
                report(f"{name} between studies", warm)
                slope = slope_mb_an_hour(warm)
                print(f"{name}: slope of memory {slope:+.2f} MB an hour, of {len(warm)} looks")
                assert slope < SLOPE_MB_AN_HOUR_MAX, name
                assert level(warm[-len(warm) // 3:]) <= level(warm[: len(warm) // 3]), f"{name}: descriptors"
    finally:
        portal.stop()


def level(looks: list[Look]) -> float:
    """Descriptors that are open between two studies."""
    return min(one.descriptors for one in looks)


def slope_mb_an_hour(looks: list[Look]) -> float:
    """Theil and Sen's: the median of the slopes between all pairs, which what a study takes for a moment does not move."""
    slopes = [(b.memory - a.memory) / (b.seconds - a.seconds) for a, b in itertools.combinations(looks, 2)]
    return statistics.median(slopes) * 3600 / 1e6


def report(name: str, looks: list[Look]) -> None:
    memory, descriptors = ([getattr(one, what) for one in looks] for what in ("memory", "descriptors"))
    print(f"{name}: memory {min(memory) / 1e6:.1f} to {max(memory) / 1e6:.1f} MB, median {statistics.median(memory) / 1e6:.1f}; "
          f"descriptors {min(descriptors)} to {max(descriptors)}")
