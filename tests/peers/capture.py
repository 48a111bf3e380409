"""All that goes over loopback while it runs, by tcpdump, as the byte streams that the programs wrote."""

import re
import signal
import struct
import subprocess
import time
from pathlib import Path

BUFFER_KIB = 65_536
START_SECONDS_MAX = 20
END_SECONDS_MAX = 60
ETHERNET_BYTES = 14
IPV4, IPV6, TCP, UDP = 0x0800, 0x86DD, 6, 17


class Capture:
    """A running capture; `streams` ends it."""

    def __init__(self, path: Path):
        self.path = path
        command = ["tcpdump", "-i", "lo", "-U", "-s", "0", "-B", str(BUFFER_KIB), "-Z", "root", "-w", str(path)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS_MAX
        # The file's header is written once the capture runs.
        while not path.exists() or path.stat().st_size < 24:
            assert self.process.poll() is None and time.monotonic() < deadline, "tcpdump does not start (apt-get install tcpdump)"
            time.sleep(0.05)

    def streams(self, last: bytes) -> dict[tuple, bytes]:
        """(source port, destination port, serial) to the bytes in that direction. `last` was sent last: once it is in the file, all is. No
        packet may have been lost on the way here."""
        deadline = time.monotonic() + END_SECONDS_MAX
        while last not in self.path.read_bytes():
            assert time.monotonic() < deadline, "what was sent last does not arrive in the capture"
            time.sleep(0.2)
        self.process.send_signal(signal.SIGINT)
        words = self.process.communicate(timeout=30)[1].decode()
        dropped = re.search(r"(\d+) packets dropped by kernel", words)
        assert dropped and dropped[1] == "0", words
        return _streams(self.path.read_bytes())

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _streams(pcap: bytes) -> dict[tuple, bytes]:
    order = "<" if pcap[:4] == b"\xd4\xc3\xb2\xa1" else ">"
    assert struct.unpack(order + "I", pcap[20:24])[0] == 1, "loopback is captured as Ethernet"
    flows: dict[tuple, dict[int, bytes]] = {}
    serials: dict[tuple, int] = {}
    at = 24
    while at + 16 <= len(pcap):
        captured, length = struct.unpack(order + "II", pcap[at + 8 : at + 16])
        assert captured == length, "a packet was cut"
        _take(pcap[at + 16 : at + 16 + captured], flows, serials)
        at += 16 + captured
    return {flow: b"".join(parts[key] for key in sorted(parts)) for flow, parts in flows.items() if parts}


def _take(frame: bytes, flows: dict[tuple, dict[int, bytes]], serials: dict[tuple, int]) -> None:
    kind, packet = int.from_bytes(frame[12:14], "big"), frame[ETHERNET_BYTES:]
    if kind == IPV4:
        protocol, start, end = packet[9], (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
    elif kind == IPV6:
        protocol, start, end = packet[6], 40, 40 + int.from_bytes(packet[4:6], "big")
    else:
        return
    segment = packet[start : end or len(packet)]
    if protocol not in (TCP, UDP):
        return
    ports = struct.unpack(">HH", segment[:4])
    if protocol == UDP:
        parts = flows.setdefault((*ports, "udp"), {})
        parts[len(parts)] = segment[8:]
        return
    sequence, header = int.from_bytes(segment[4:8], "big"), (segment[12] >> 4) * 4
    if segment[13] & 2:  # SYN: ports are used again for another connection.
        serials[ports] = serials.get(ports, -1) + 1
        flows[(*ports, serials[ports])] = {}
        serials[(*ports, "start")] = sequence
    flow = (*ports, serials.get(ports, 0))
    payload = segment[header:]
    if payload:
        # Relative, so that a number that wraps around keeps its place.
        relative = (sequence - serials.get((*ports, "start"), 0)) & 0xFFFFFFFF
        parts = flows.setdefault(flow, {})
        # A repeated segment may be shorter than the first.
        parts[relative] = max(parts.get(relative, b""), payload, key=len)
