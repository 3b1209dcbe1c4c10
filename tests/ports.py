"""Ports for servers that are started later."""

from __future__ import annotations

import itertools
import os
import socket

#: Below the ports that the kernel gives to whoever asks for any: one of those might be somebody's before its server binds it.
FIRST, LAST = 24_000, 32_000

_drawn = itertools.count()


def free_port() -> int:
    """A port of loopback that nobody has now, of UDP and TCP; no two calls in this process get the same."""
    # Test processes beside this one begin elsewhere.
    offset = os.getpid() % 80 * 100
    for _ in range(LAST - FIRST):
        port = FIRST + (offset + next(_drawn)) % (LAST - FIRST)
        if _is_free(port):
            return port
    raise OSError(f"no port from {FIRST} to {LAST - 1} is free")


def _is_free(port: int) -> bool:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, socket.create_server(("127.0.0.1", port)):
            probe.bind(("127.0.0.1", port))
            return True
    except OSError:
        return False
