"""What a Slurm of several nodes on one machine is told."""

from __future__ import annotations

import os
import random
import socket
import stat
from collections.abc import Sequence
from pathlib import Path

PARTITIONS = {
    "general-short": "MaxTime=30",
    "general-cpu": "Default=YES",
    "general-gpu": "",
    "general-interactive": "",
}
MEMORY_MB = 64_000
MAX_SOCKET_BYTES = 107

TEXT = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job waits for a second more than this (2 minutes, were it not given).
AuthInfo=socket={folder}/munge.socket,cred_expire=10
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/%n
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
# Nodes may have more than the machine has.
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobcomp.txt
MpiDefault=none
ReturnToService=2
JobRequeue=1
MinJobAge=300
SlurmctldTimeout=10
SlurmdTimeout=5
MessageTimeout=5
KillWait=5
OverTimeLimit=0
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=1,sched_min_interval=0
# MPICH names shared memory after the job's number: a killed job of an earlier cluster may have
# left some.
FirstJobId={first_job_id}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# A job that asks for no memory would take all of its nodes'.
DefMemPerCPU=1000
GresTypes=gpu
"""


def write(folder: Path, nodes: Sequence[str], *, cpus: int, gpus: int) -> None:
    """Write all that the daemons read into a directory."""
    longest = folder / nodes[-1] / f"{nodes[-1]}_99999.4294967295"  # a step's socket
    if len(os.fsencode(longest)) > MAX_SOCKET_BYTES:
        raise ValueError(f"expected a shorter path, for sockets below it, but got {folder=}")
    (folder / "state").mkdir(parents=True)
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(1024))
    host = socket.gethostname().partition(".")[0]
    port, *node_ports = free_ports(1 + len(nodes))
    first_job_id = random.randrange(1000, 90_000)
    lines = [TEXT.format(host=host, port=port, folder=folder, first_job_id=first_job_id)]
    for name, node_port in zip(nodes, node_ports, strict=True):
        (folder / name).mkdir()
        lines.append(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={node_port}"
            f" CPUs={cpus} RealMemory={MEMORY_MB} Gres=gpu:{gpus}\n"
        )
    lines += [f"PartitionName={n} Nodes=ALL {more}\n" for n, more in PARTITIONS.items()]
    (folder / "slurm.conf").write_text("".join(lines))
    devices = [fake_gpu(folder / f"nvidia{n}") for n in range(gpus)]
    (folder / "gres.conf").write_text("".join(f"Name=gpu File={path}\n" for path in devices))


def free_ports(n_ports: int) -> list[int]:
    """Give ports that nobody listens on, of no common number."""
    sockets = [socket.create_server(("", 0)) for _ in range(n_ports)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def fake_gpu(path: Path) -> Path:
    """Make a device that is there, and does nothing."""
    os.mknod(path, 0o666 | stat.S_IFCHR, Path("/dev/null").stat().st_rdev)
    return path
