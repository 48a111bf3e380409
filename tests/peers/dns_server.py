"""A DNS server on loopback with a zone that a test writes, over TCP and UDP (dnslib)."""

from dnslib import QTYPE, RCODE, RR, DNSRecord
from dnslib.server import BaseResolver, DNSServer

from lab.ports import free_port


class Zone(BaseResolver):
    """Answers from `records`: (name, type) to a list of values as in a zone file. `is_signed`: sets AD, as a resolver that validated; `asked`: each question, by name and type."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.is_signed = True
        self.is_broken = False
        self.allows_transfer = False
        self.fails_transfer = False
        self.asked: list[tuple[str, str]] = []

    def put(self, name: str, kind: str, *values: str) -> None:
        self.records[name.lower(), kind] = list(values)

    def resolve(self, request: DNSRecord, handler: object) -> DNSRecord:
        reply = request.reply()
        reply.header.ad = int(self.is_signed)
        name, kind = str(request.q.qname).rstrip(".").lower(), QTYPE[request.q.qtype]
        self.asked.append((name, kind))
        if self.is_broken or (self.fails_transfer and kind == "AXFR"):
            reply.header.rcode = RCODE.SERVFAIL
            return reply
        if kind == "AXFR":
            return self._transfer(name, reply)
        for value in self.records.get((name, kind), []):
            reply.add_answer(*_records(name, kind, value))
        if not any(known == name for known, _ in self.records):
            reply.header.rcode = RCODE.NXDOMAIN
        return reply

    def _transfer(self, name: str, reply: DNSRecord) -> DNSRecord:
        """The whole zone between two SOA records (RFC 5936 2.2), or a refusal."""
        if not self.allows_transfer:
            reply.header.rcode = RCODE.REFUSED
            return reply
        soa = RR.fromZone(f"{name}. 60 IN SOA ns.{name}. admin.{name}. 1 3600 600 86400 60")
        records = [record for (owner, kind), values in self.records.items() for value in values for record in _records(owner, kind, value)]
        reply.add_answer(*soa, *records, *soa)
        return reply


def _records(name: str, kind: str, value: str) -> list[RR]:
    # A text is cut into strings of at most 255 octets (RFC 1035 3.3.14).
    text = " ".join(f'"{value[start : start + 200]}"' for start in range(0, len(value), 200)) if kind == "TXT" else value
    return RR.fromZone(f"{name}. 60 IN {kind} {text}")


class DnsServer:
    """Serves a zone until stopped."""

    def __init__(self) -> None:
        self.zone, self.port = Zone(), free_port()
        self._server = DNSServer(self.zone, port=self.port, address="127.0.0.1", tcp=True)
        self._server.start_thread()

    def stop(self) -> None:
        self._server.stop()
