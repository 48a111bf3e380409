"""A DNS server on loopback with a zone that a test writes, over TCP and UDP (dnslib)."""

from dnslib import QTYPE, RCODE, RR, DNSRecord
from dnslib.server import BaseResolver, DNSServer

from lab.ports import free_port


class Zone(BaseResolver):
    """Answers from `records`: (name, type) to a list of values as in a zone file. `is_signed`: sets AD, as a resolver that validated."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.is_signed = True
        self.is_broken = False

    def put(self, name: str, kind: str, *values: str) -> None:
        self.records[name.lower(), kind] = list(values)

    def resolve(self, request: DNSRecord, handler: object) -> DNSRecord:
        reply = request.reply()
        reply.header.ad = int(self.is_signed)
        if self.is_broken:
            reply.header.rcode = RCODE.SERVFAIL
            return reply
        name, kind = str(request.q.qname).rstrip(".").lower(), QTYPE[request.q.qtype]
        for value in self.records.get((name, kind), []):
            # A text is cut into strings of at most 255 octets (RFC 1035 3.3.14).
            text = " ".join(f'"{value[start : start + 200]}"' for start in range(0, len(value), 200)) if kind == "TXT" else value
            reply.add_answer(*RR.fromZone(f"{name}. 60 IN {kind} {text}"))
        if not any(known == name for known, _ in self.records):
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


class DnsServer:
    """Serves a zone until stopped."""

    def __init__(self) -> None:
        self.zone, self.port = Zone(), free_port()
        self._server = DNSServer(self.zone, port=self.port, address="127.0.0.1", tcp=True)
        self._server.start_thread()

    def stop(self) -> None:
        self._server.stop()
