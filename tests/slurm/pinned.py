"""Pins each rank as rismpigpu.py does, says to what, and ends when `go` lies beside --out."""

import os
import sys
import time
from pathlib import Path

from hpo import devices
from hpo.world import World

PATIENCE_S = 120

given = os.environ.get("CUDA_VISIBLE_DEVICES")
out = Path(sys.argv[sys.argv.index("--out") + 1])
world = World()
sentence = devices.pin(world)
said = [f"rank {world.rank}: given {given}, has {os.environ['CUDA_VISIBLE_DEVICES']}\n"]
if world.is_root:
    said.append(f"{sentence}\n")
print("".join(said), end="", flush=True)  # in one piece: the launcher mixes ranks' lines
end_s = time.monotonic() + PATIENCE_S
while not (out.parent / "go").exists() and time.monotonic() < end_s:
    time.sleep(0.1)
