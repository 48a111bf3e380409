"""A network of its own for this process and what it starts: a capture of loopback then holds nothing of other programs of the machine."""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator

import pytest

CLONE_NEWNET = 0x40000000  # unshare(2)


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """Within, this thread and all that it starts see a loopback device and nothing else. What was started before keeps its network."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(CLONE_NEWNET) != 0:
            pytest.skip("NOT RUN: a network of its own takes root, or CAP_SYS_ADMIN")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        if libc.setns(before, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "the network cannot be left")
        os.close(before)
