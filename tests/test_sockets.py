"""Tests of addresses, ports and connections."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from hpo import sockets


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        sockets.listener(sockets.LOOPBACK) as listening,
        socket.create_connection(listening.getsockname()) as here,
        listening.accept()[0] as there,
    ):
        yield here, there


def ends(its: socket.socket) -> sockets.Connection:
    return its.getsockname(), its.getpeername()


def test_connections_are_those_that_are_open(pair):
    here, there = pair
    found = sockets.connections()
    assert found[here.fileno()] == ends(here)
    assert found[there.fileno()] == ends(there)
    number = here.fileno()
    here.close()
    assert sockets.connections().get(number) != ends(there)[::-1]


def test_shared_connections_have_both_ends_in_the_group(pair):
    here, there = pair
    own = {3: ends(here), 4: ("elsewhere", "unknown")}
    assert sockets.shared(own, [[ends(here)], [ends(there)]]) == {3: ends(here)}
    assert sockets.shared(own, [[ends(here)], []]) == {}


def test_a_cut_connection_ends_for_both_sides_and_others_stay(pair):
    here, there = pair
    number = here.fileno()
    sockets.cut({number: ("another", "one")})
    there.sendall(b"x")
    assert here.recv(1) == b"x"
    assert sockets.are_open({number: ends(here)})
    sockets.cut({number: ends(here)})
    assert there.recv(1) == b""
    assert not sockets.are_open({number: ends(there)})


def test_a_reserved_port_is_left_to_who_shares_it():
    with sockets.reserved(sockets.LOOPBACK) as port:
        with socket.socket() as stranger, pytest.raises(OSError):
            stranger.bind((sockets.LOOPBACK, port))
        with socket.socket() as invited:
            invited.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            invited.bind((sockets.LOOPBACK, port))


def test_an_address_of_another_host_listens_everywhere():
    with sockets.listener("192.0.2.1") as listening:
        assert listening.getsockname()[0] == "0.0.0.0"


def test_interfaces_and_addresses():
    name = sockets.interface(sockets.LOOPBACK)
    assert name is not None
    assert sockets.address(name) == sockets.LOOPBACK
    assert sockets.address("none0") is None
    assert sockets.interface("192.0.2.1") is None
    assert sockets.towards(sockets.LOOPBACK) is None  # no other node reaches that
    assert sockets.towards("no.such.host.invalid") is None
