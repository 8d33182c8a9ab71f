"""How the ranks of a group find each other outside MPI: addresses, ports, connections."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from hpo import launcher, sockets
from hpo.groups import Group

T = TypeVar("T")


class Meeting(NamedTuple):
    """Addresses by which the ranks of a group know this one, and its leader."""

    own: str
    leader: str


def arrange(group: Group) -> Meeting:
    """Find addresses that all ranks of the group reach (collective)."""
    host = socket.gethostname()
    here = f"{launcher.node(host)} {sockets.namespace()}"
    places = group.all_gather((here, host))
    elsewhere = [host for place, host in places if place != places[0][0]]
    if not elsewhere:
        return Meeting(sockets.LOOPBACK, sockets.LOOPBACK)
    wished = sockets.address(os.environ.get("GLOO_SOCKET_IFNAME", ""))
    own = wished or sockets.towards(elsewhere[0]) or host  # the leader's is what counts
    leader = group.broadcast(own)
    if group.is_leader:
        return Meeting(leader, leader)
    return Meeting(wished or sockets.towards(leader) or host, leader)


def together(group: Group, function: Callable[[], T]) -> T:
    """Call a function; raise on every rank what it raises on one (collective)."""
    value, wrong = None, ""
    try:
        value = function()
    except (OSError, RuntimeError) as error:
        wrong = f"rank {group.rank} of the group, on {socket.gethostname()}: {error}"
    told = [*filter(None, group.all_gather(wrong))]
    if told:
        raise ConnectionError(f"the ranks of this trial cannot reach each other: {told[0]}")
    return value  # type: ignore[return-value]  # nothing was raised: it is a T


def links(group: Group, before: Mapping[int, sockets.Connection]) -> dict[int, sockets.Connection]:
    """Find what connects this rank with others of its group since `before` (collective).

    Other threads may have connected this process with somebody else meanwhile: MPI's, say.
    """
    now = sockets.connections()
    new = {number: ends for number, ends in now.items() if before.get(number) != ends}
    told = group.all_gather([*new.values()])
    return sockets.shared(new, told[: group.rank] + told[group.rank + 1 :])
