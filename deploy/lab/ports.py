"""Free ports for servers that cannot be told "any port"."""

import random
import socket

# Below Linux's range for outgoing connections (32768 up), so that no client takes the port before the server does.
LOWEST, HIGHEST = 20000, 32000


def free_port(taken: set[int] = frozenset()) -> int:
    """A loopback port that nobody listens on now."""
    for _ in range(1000):
        port = random.randint(LOWEST, HIGHEST)
        if port not in taken and _can_bind(port):
            return port
    raise RuntimeError(f"no free port between {LOWEST} and {HIGHEST}")


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def is_listening(port: int, address: str = "127.0.0.1") -> bool:
    """Whether something accepts connections on that port of a loopback address."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0
