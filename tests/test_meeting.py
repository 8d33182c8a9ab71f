"""Tests of how ranks of a group find each other, as a leader sees it."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from hpo import meeting, sockets


class Pair:
    """The leader of two ranks, of which the other says what it is told to."""

    rank, size, is_leader = 0, 2, True

    def __init__(self, other: Any = None) -> None:
        self.other = other

    def all_gather(self, value: Any) -> list[Any]:
        return [value, value if self.other is None else self.other]

    def broadcast(self, value: Any) -> Any:
        return value


def test_ranks_of_one_node_meet_where_no_other_comes():
    assert meeting.arrange(Pair()) == (sockets.LOOPBACK, sockets.LOOPBACK)


@pytest.mark.parametrize(
    ("interface", "expected"),
    [("", socket.gethostname()), (sockets.interface(sockets.LOOPBACK), sockets.LOOPBACK)],
)
def test_a_node_that_cannot_be_found_gets_a_name_or_what_the_user_wishes(
    monkeypatch, interface, expected
):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", interface)
    met = meeting.arrange(Pair(other=("another node", "no.such.host.invalid")))
    assert met == (expected, expected)


def test_what_one_rank_cannot_all_hear():
    with pytest.raises(ConnectionError, match="reach each other: rank 0 .*: refused"):
        meeting.together(Pair(), refuse)
    with pytest.raises(ConnectionError, match="there"):
        meeting.together(Pair(other="rank 1, there"), lambda: 5)
    assert meeting.together(Pair(other=""), lambda: 5) == 5


def refuse() -> None:
    raise OSError("refused")


def test_links_are_new_and_lead_into_the_group():
    before = sockets.connections()
    with (
        sockets.listener(sockets.LOOPBACK) as listening,
        socket.create_connection(listening.getsockname()) as here,
        listening.accept()[0],
    ):
        ours, theirs = here.getsockname(), here.getpeername()
        found = meeting.links(Pair(other=[(theirs, ours)]), before)
        assert found == {here.fileno(): (ours, theirs)}
        assert meeting.links(Pair(other=[]), before) == {}
        now = sockets.connections()
        assert meeting.links(Pair(other=[(theirs, ours)]), now) == {}
