"""TCP: addresses by which other nodes reach this one, ports of its own, connections to cut."""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

LOOPBACK = "127.0.0.1"
_SIOCGIFADDR = 0x8915  # Linux: netdevice(7)

# Its two ends, ours first.
Connection: TypeAlias = tuple[object, object]


def namespace() -> str:
    """Name what shares this process's loopback interface, as far as one machine goes."""
    try:
        return str(Path("/proc/self/ns/net").readlink())
    except OSError:
        return ""


def towards(host: str) -> str | None:
    """Give this node's own address on the way to another host; None if it is not found."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect((host, 9))  # asks the routing table, sends nothing
        except OSError:
            return None
        address = str(asked.getsockname()[0])
    return None if address.startswith("127.") else address


def address(interface: str) -> str | None:
    """Give the address of a network interface; None where this is not known."""
    try:
        import fcntl

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            request = struct.pack("256s", interface.encode()[:15])
            told = fcntl.ioctl(asked.fileno(), _SIOCGIFADDR, request)
    except (ImportError, OSError):  # not Linux; an interface without an address
        return None
    return socket.inet_ntoa(told[20:24])


def interface(of_address: str) -> str | None:
    """Name the network interface that has an address; None where this is not known."""
    names = [name for _, name in socket.if_nameindex()]
    return next((name for name in names if address(name) == of_address), None)


def listener(own_address: str) -> socket.socket:
    """Listen at a port of an address that nobody else has."""
    listening = socket.socket(socket.AF_INET)
    _bind(listening, own_address)
    listening.listen(128)
    return listening


@contextmanager
def reserved(own_address: str) -> Iterator[int]:
    """Give a port that nobody else has, to whom listens with SO_REUSEPORT, as gRPC does."""
    with socket.socket(socket.AF_INET) as holding:
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _bind(holding, own_address)
        yield int(holding.getsockname()[1])


def _bind(unbound: socket.socket, own_address: str) -> None:
    """Take a free port of an address; of all of them if it is not this node's."""
    try:
        unbound.bind((own_address, 0))
    except OSError:
        unbound.bind(("", 0))


def connections() -> dict[int, Connection]:
    """Give the TCP connections that are open now, by file descriptor."""
    found: dict[int, Connection] = {}
    for number in (int(path.name) for path in Path("/dev/fd").iterdir()):
        try:
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            with socket.socket(fileno=os.dup(number)) as its:
                if its.type == socket.SOCK_STREAM and its.family in _INTERNET:
                    found[number] = (its.getsockname(), its.getpeername())
        except OSError:
            continue  # closed since, or not connected
    return found


_INTERNET = (socket.AF_INET, socket.AF_INET6)


def shared(
    own: Mapping[int, Connection], of_others: Sequence[Collection[Connection]]
) -> dict[int, Connection]:
    """Keep the connections whose other end is among those of others."""
    theirs = {(there, here) for connections in of_others for here, there in connections}
    return {number: ends for number, ends in own.items() if ends in theirs}


def are_open(some: Mapping[int, Connection]) -> bool:
    """Tell whether both sides still hold these connections."""
    open_now = connections()
    return all(open_now.get(number) == ends for number, ends in some.items())


def cut(some: Mapping[int, Connection]) -> None:
    """End connections for both sides, whoever still holds them here."""
    open_now = connections()
    for number, ends in some.items():
        if open_now.get(number) != ends:
            continue  # closed, and its number perhaps given anew
        with suppress(OSError), socket.socket(fileno=os.dup(number)) as its:  # closed just now
            its.shutdown(socket.SHUT_RDWR)
