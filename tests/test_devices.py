"""Which GPU each rank gets, for many fake nodes; what is said where there is none."""

from __future__ import annotations

import pytest

from hpo import devices
from hpo.devices import Sight
from hpo.errors import ExitCode, InputError

A, B, C, D = (f"GPU-{letter * 8}-0000" for letter in "abcd")
M1, M2 = "MIG-11111111-0000", "MIG-22222222-0000"
NOWHERE = "by nvidia-smi and in /dev"


# --- what a process is offered ---


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("0", ("0",)),
        ("0,1", ("0", "1")),
        ("3, 1", ("3", "1")),
        ("2,1,0", ("2", "1", "0")),
        ("1,1,0", ("1", "0")),
        (A, (A,)),
        ("GPU-8932f937", ("GPU-8932f937",)),  # enough of a UUID is a name
        (f"{B},{A}", (B, A)),
        (M1, (M1,)),
        ("MIG-GPU-8932f937-d72c/1/0", ("MIG-GPU-8932f937-d72c/1/0",)),  # older drivers
        # CUDA sees what stands before the first name that cannot be one.
        ("", ()),
        (" ", ()),
        ("-1", ()),
        ("0,2,-1,1", ("0", "2")),
        ("0,,1", ("0",)),
        ("NoDevFiles", ()),  # older Slurm, for jobs without GPUs
        ("all", ()),
        ("none", ()),
    ],
)
def test_offered_is_what_cuda_visible_devices_names(value, names):
    found, source = devices.offered({"CUDA_VISIBLE_DEVICES": value}, [], 4)
    assert found == names
    assert source == f"in CUDA_VISIBLE_DEVICES={value!r}"


@pytest.mark.parametrize(
    ("environ", "listed", "n_files", "names"),
    [
        ({}, [], 0, ()),
        ({}, [A, B], 2, (A, B)),
        ({}, [M1, M2], 1, (M1, M2)),
        ({}, [], 2, ("0", "1")),  # a container without nvidia-smi
        # CUDA's own variable wins over whatever else there is; Slurm sets both.
        ({"CUDA_VISIBLE_DEVICES": ""}, [A, B], 2, ()),
        ({"CUDA_VISIBLE_DEVICES": "1", "SLURM_STEP_GPUS": "0"}, [A, B], 2, ("1",)),
        ({"CUDA_VISIBLE_DEVICES": "1", "GPU_DEVICE_ORDINAL": "0"}, [A, B], 2, ("1",)),
        ({"GPU_DEVICE_ORDINAL": "1"}, [A, B], 2, ("1",)),
        ({"GPU_DEVICE_ORDINAL": ""}, [A, B], 2, ()),
        # Numbers that name all there is become UUIDs: each rank's own GPU may be number 0.
        ({"CUDA_VISIBLE_DEVICES": "0"}, [A], 1, (A,)),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, [A, B], 2, (A, B)),
        ({"CUDA_VISIBLE_DEVICES": "0"}, [A, B], 2, ("0",)),
        ({"CUDA_VISIBLE_DEVICES": "1,0"}, [A, B], 2, ("1", "0")),
        ({"CUDA_VISIBLE_DEVICES": B}, [A, B], 2, (B,)),
        # Slurm's other lists number the node's GPUs, hidden ones included.
        ({"SLURM_STEP_GPUS": "2,3"}, [A, B, C, D], 4, (C, D)),
        ({"SLURM_JOB_GPUS": "1"}, [A, B, C, D], 4, (B,)),
        ({"SLURM_STEP_GPUS": "1", "SLURM_JOB_GPUS": "0,1"}, [A, B, C], 3, (B,)),
        ({"SLURM_STEP_GPUS": "2,3"}, [A, B], 2, (A, B)),  # a device cgroup hides the others
        ({"SLURM_STEP_GPUS": "3"}, [A, B], 2, (A, B)),
        ({"SLURM_STEP_GPUS": ""}, [A, B], 2, (A, B)),
        # A container's: its images say `all` on any node, CDI says `void` beside real GPUs.
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, [], 0, ()),
        ({"NVIDIA_VISIBLE_DEVICES": "void"}, [A], 1, (A,)),
        ({"NVIDIA_VISIBLE_DEVICES": "2,3"}, [A, B], 2, (A, B)),
    ],
)
def test_offered(environ, listed, n_files, names):
    assert devices.offered(environ, listed, n_files)[0] == names


def test_offered_says_where_it_looked():
    assert devices.offered({}, [], 0) == ((), NOWHERE)


# --- nvidia-smi -L ---

WHOLE = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-2b5e6a37-91d5-7a3b-8a0e-6b6f4d4b6a10)
GPU 1: Tesla V100-SXM2-32GB (UUID: GPU-f2a0ae1c-5e4c-2f39-cf9c-7f7d1ef0a2b3)
"""
IN_PARTS = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 1g.5gb      Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 3g.20gb     Device  1: (UUID: MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-1e0a6d2c-0c6a-4d38-9c5e-9b0b6cdb7c11)
"""


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("No devices were found\n", []),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", []),
        (
            WHOLE,
            [
                "GPU-2b5e6a37-91d5-7a3b-8a0e-6b6f4d4b6a10",
                "GPU-f2a0ae1c-5e4c-2f39-cf9c-7f7d1ef0a2b3",
            ],
        ),
        (
            IN_PARTS,
            [
                "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f",
                "MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb",
                "GPU-1e0a6d2c-0c6a-4d38-9c5e-9b0b6cdb7c11",
            ],
        ),
        (
            "GPU 0: A100 (UUID: GPU-5d5ba0d6)\n  MIG 1g.5gb D. 0: (UUID: MIG-GPU-5d5ba0d6/1/0)",
            ["MIG-GPU-5d5ba0d6/1/0"],
        ),
    ],
)
def test_parse_listed(text, names):
    assert devices.parse_listed(text) == names


# --- who gets which ---


def ranks(*seen: tuple[str, str]) -> list[Sight]:
    """Give what ranks see, each `(node, "name name …")`."""
    return [Sight(node, node, tuple(names.split()), NOWHERE) for node, names in seen]


@pytest.mark.parametrize(
    ("sights", "chosen", "said"),
    [
        (ranks(("n", "0")), ["0"], "1 rank on 1 GPU"),
        (ranks(*[("n", "0")] * 3), ["0", "0", "0"], "3 ranks on 1 GPU"),
        (ranks(*[("n", "0 1")] * 2), ["0", "1"], "2 ranks on 2 GPUs"),
        (ranks(*[("n", "3 1")] * 2), ["3", "1"], "2 ranks on 2 GPUs"),
        (ranks(("n", "0 1 2 3")), ["0"], "1 rank on 1 of 4 GPUs"),
        (ranks(*[("n", "0 1 2 3")] * 8), [*"01230123"], "8 ranks on 4 GPUs"),
        (ranks(*[("n", "0 1 2 3")] * 5), [*"01230"], "5 ranks on 4 GPUs"),
        # Each node by itself, however ranks are spread over the nodes.
        (ranks(*[("m", "0 1")] * 2, *[("n", "0 1")] * 2), [*"0101"], "4 ranks on 4 GPUs"),
        (ranks(*[("m", "0 1"), ("n", "0 1")] * 2), [*"0011"], "4 ranks on 4 GPUs"),
        (ranks(*[("m", "0 1")] * 3, ("n", "0")), [*"0100"], "4 ranks on 3 GPUs"),
        # Ranks that were given GPUs of their own.
        (ranks(("n", "GPU-a"), ("n", "GPU-b")), ["GPU-a", "GPU-b"], "2 ranks on 2 GPUs"),
        (ranks(("n", "1"), ("n", "0")), ["1", "0"], "2 ranks on 2 GPUs"),
        (ranks(("n", "0 1"), ("n", "2 3")), ["0", "2"], "2 ranks on 2 of 4 GPUs"),
        # --gpu-bind=closest: two lists in turn; the local rank alone would leave two idle.
        (ranks(*[("n", "0 1"), ("n", "2 3")] * 2), [*"0213"], "4 ranks on 4 GPUs"),
        (ranks(("n", "0 1"), ("n", "1 2"), ("n", "0 2")), [*"012"], "3 ranks on 3 GPUs"),
        (ranks(*[("n", f"{M1} {M2}")] * 4), [M1, M2, M1, M2], "4 ranks on 2 GPUs"),
    ],
)
def test_assigned_gives_each_rank_the_gpu_with_the_fewest(sights, chosen, said):
    assert devices.assigned(sights) == chosen
    assert devices.sentence(sights, chosen) == said


def test_assigned_goes_by_node_and_not_by_name_of_the_host():
    sights = [Sight(host, node, ("0", "1"), "") for host, node in [("c1", "n"), ("c2", "n")]]
    assert devices.assigned(sights) == ["0", "1"]  # containers with names of their own
    sights = [Sight("localhost", node, ("0", "1"), "") for node in "mn"]
    assert devices.assigned(sights) == ["0", "0"]


# --- refusals ---


def refusal(*sights: Sight) -> str:
    with pytest.raises(InputError) as refused:
        devices.assigned(sights)
    assert refused.value.exit_code == ExitCode.BAD_INPUT == 2
    return str(refused.value)


def test_no_gpu_anywhere_is_refused():
    assert refusal(*ranks(("a", ""), ("a", ""))) == (
        "host a: expected a GPU, found none by nvidia-smi and in /dev;"
        " rismpi.py is the entry for CPUs"
    )


def test_no_gpu_on_some_nodes_is_refused_naming_the_first():
    sights = ranks(("a", "0"), ("b", ""), ("b", ""), ("c", ""), ("d", "0"))
    assert refusal(*sights) == (
        "host b and 1 more: expected a GPU, found none by nvidia-smi and in /dev;"
        " rismpi.py is the entry for CPUs"
    )


def test_refusal_says_what_hid_the_gpus():
    names, source = devices.offered({"CUDA_VISIBLE_DEVICES": "-1"}, [A], 1)
    assert refusal(Sight("a", "a", names, source)).startswith(
        "host a: expected a GPU, found none in CUDA_VISIBLE_DEVICES='-1';"
    )


def test_nothing_lacking_is_not_refused():
    devices.refuse([("a", None), ("b", None)])
