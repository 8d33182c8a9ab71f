"""Job files are read as LSF reads them; what is wrong is named with its line and option."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import reader
import resources
from expressions import Condition, Logic, Property
from hypothesis import given
from hypothesis import strategies as st
from reader import Job, Mail
from resources import Gpu, Resources
from values import VALUES, Array

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "lsf").glob("*.lsf"))
GIB = 2**30
ARRAY = """\
#!/bin/bash
#BSUB -G compute-LAB
#BSUB -q general
#BSUB -g /USER/grp
#BSUB -J "name[1-100]%10"
#BSUB -a "docker(registry/image:tag)"
#BSUB -n 8
#BSUB -R "affinity[core(1)] span[ptile=4] rusage[mem=16GB]"
#BSUB -M 16GB
#BSUB -W 24:00
#BSUB -wt 10
#BSUB -wa USR2
#BSUB -Q "99"
#BSUB -o log.%J.%I.out

# What follows is the job.
mpirun python search.py
"""
GPU = """\
#!/bin/sh
# The site wants gpuhost first.
#BSUB -q general -G compute-LAB
#BSUB -n 2
#BSUB -R 'select[gpuhost && mem>180GB] span[hosts=1] rusage[mem=8GB/task, tmp=1T]'
#BSUB -gpu "num=2:gmodel=NVIDIAA40:gmem=8G:j_exclusive=no:mode=shared"
#BSUB -a 'docker(ghcr.io/some-lab/search.gpu:0.4)'
#BSUB -oo gpu.%J.out
#BSUB -e gpu.%J.err
#BSUB -N
#BSUB -u someone@example.org
nvidia-smi
"""


def directives(*lines: str, command: str = "true") -> str:
    return "\n".join(["#!/bin/sh", *(f"#BSUB {line}" for line in lines), command, ""])


def message(text: str) -> str:
    with pytest.raises(ValueError) as refused:
        reader.read(text)
    assert "\n" not in str(refused.value)
    return str(refused.value)


# --- what is read ---


def test_array_of_parallel_jobs_is_read() -> None:
    job = reader.read(ARRAY)
    asked = Resources(cores=1, ptile=4, memory_bytes=16 * GIB)
    assert job == Job(
        script="#!/bin/bash\n\n# What follows is the job.\nmpirun python search.py\n",
        directives=job.directives,
        name="name",
        array=Array(tuple(range(1, 101)), limit=10),
        group="compute-LAB",
        job_group="/USER/grp",
        queue="general",
        n_tasks=8,
        resources=asked,
        memory_limit_bytes=16 * GIB,
        run_limit_min=24 * 60,
        warning_signal="USR2",
        warning_min=10,
        requeue_codes=frozenset({99}),
        image="registry/image:tag",
        output="log.%J.%I.out",
    )
    assert [directive.option for directive in job.directives] == (
        ["-G", "-q", "-g", "-J", "-a", "-n", "-R", "-M", "-W", "-wt", "-wa", "-Q", "-o"]
    )
    assert job.directives[3] == reader.Directive("line 5", "-J", "name[1-100]%10")


def test_gpu_job_is_read() -> None:
    job = reader.read(GPU)
    assert job.gpu == Gpu(
        num=2, gmodel="NVIDIAA40", gmem_bytes=8 * GIB, j_exclusive=False, mode="shared"
    )
    assert job.resources == Resources(
        select=Logic("&&", (Property("gpuhost"), Property("mem", ">", "180GB"))),
        hosts=1,
        memory_bytes=8 * GIB,
        memory_per="task",
    )
    assert (job.output, job.overwrites_output) == ("gpu.%J.out", True)
    assert (job.error, job.overwrites_error) == ("gpu.%J.err", False)
    assert job.mail == Mail(at_end=True, address="someone@example.org")
    assert job.image == "ghcr.io/some-lab/search.gpu:0.4"
    assert job.array is None


def test_chain_is_read() -> None:
    words = ["-J", "report", "-w", "numdone(12,*) && !(exit(13, >= 66) || ended(14))"]
    job = reader.read(directives("-W 90", "-q general"), [*words, "-W", "0:30"])
    assert job.dependency == Logic(
        "&&",
        (
            Condition("numdone", "12"),
            Logic(
                "!",
                (Logic("||", (Condition("exit", "13", "", ">=", 66), Condition("ended", "14"))),),
            ),
        ),
    )
    assert job.run_limit_min == 30  # the command line wins
    assert [directive.place for directive in job.directives] == ["line 3", *["command line"] * 3]


@pytest.mark.parametrize(
    ("expression", "condition"),
    [
        ("7", Condition("done", "7")),
        ('done("7")', Condition("done", "7")),
        ("done(7[2])", Condition("done", "7", "2")),
        ('done("grid[*]")', Condition("done", "grid", "*")),
        ("started(gri*)", Condition("started", "gri*")),
        ("exit(7)", Condition("exit", "7")),
        ("exit(7,66)", Condition("exit", "7", "", "==", 66)),
        ("numended(7, > 3)", Condition("numended", "7", "", ">", 3)),
    ],
)
def test_dependency_is_read(expression: str, condition: Condition) -> None:
    assert reader.read(directives(f"-w '{expression}'")).dependency == condition


def test_command_is_read() -> None:
    job = reader.read_command(
        ["-R", "gpuhost span[hosts=1]", "-gpu", "-", "-x", "python", "a b", "(c)"]
    )
    assert job.script == '#!/bin/sh\npython "a b" \\(c\\)\n'
    assert (job.gpu, job.n_tasks) == (Gpu(), 1)
    assert job.resources == Resources(select=Property("gpuhost"), hosts=1)


@pytest.mark.parametrize(
    ("written", "codes"),
    [("66 99", {66, 99}), ("99 EXCLUDE(9)", {9, 99}), ("all ~0 ~1", set(range(2, 129)))],
)
def test_requeue_codes_are_read(written: str, codes: set[int]) -> None:
    assert reader.read(directives(f'-Q "{written}"')).requeue_codes == codes


@pytest.mark.parametrize(("written", "minutes"), [("90", 90), ("1:30", 90), ("0:90", 90)])
def test_run_limit_is_read(written: str, minutes: int) -> None:
    assert reader.read(directives(f"-W {written}")).run_limit_min == minutes


@pytest.mark.parametrize(
    ("written", "array"),
    [
        ("[7]", Array((7,))),
        ("[2,5,7-9]%2", Array((2, 5, 7, 8, 9), 2)),
        ("[1-6:2,2]", Array((1, 2, 3, 5))),
    ],
)
def test_array_is_read(written: str, array: Array) -> None:
    assert reader.read(directives(f'-J "grid{written}"')).array == array


def test_interactive_command_is_read() -> None:
    assert reader.read_command(["-Is", "-q", "general-interactive", "bash"]).is_interactive


@pytest.mark.parametrize("path", SHIPPED, ids=[path.name for path in SHIPPED])
def test_shipped_job_file_is_read(path: Path) -> None:
    assert reader.read(path.read_text()).image is not None


def test_shipped_interactive_command_is_read() -> None:
    *_, line = (ROOT / "lsf" / "interactive.sh").read_text().splitlines()
    words = shlex.split(line)
    assert words[:2] == ["exec", "bsub"]
    job = reader.read_command(words[2:])
    assert job.is_interactive
    assert job.queue == "general-interactive"


@given(st.integers(1, 10**6), st.sampled_from(resources.UNITS))
def test_memory_is_read_in_every_unit(amount: int, unit: str) -> None:
    n_bytes = resources.memory_bytes(f"{amount}{unit}")
    assert n_bytes == resources.memory_bytes(f"{amount}{unit}B")
    assert n_bytes == amount * 1024 ** (1 + "KMGTPE".index(unit))
    job = reader.read(directives(f"-M {amount}{unit} -R 'rusage[mem={amount}{unit}B]'"))
    assert job.memory_limit_bytes == job.resources.memory_bytes == n_bytes


@given(st.text(max_size=40))
def test_any_line_is_read_or_refused_in_one_line(text: str) -> None:
    for option in ("", *VALUES):
        try:
            reader.read(directives(f'{option} "{text}"'))
        except ValueError as error:
            assert str(error).startswith("line ")


# --- what is refused ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1: expected #! and an absolute path, found ''"),
        ("true\n", "line 1: expected #! and an absolute path, found 'true'"),
        ("#!bash\n", "line 1: expected #! and an absolute path, found '#!bash'"),
        ("#!/bin/sh\n#BSUB -n 2\r\n", "line 2: expected lines that end in LF, found CR LF"),
        ("#!/bin/sh\n\n  #BSUB -n 2\n", "line 3: expected '#BSUB -OPTION' from the start"),
        ("#!/bin/sh\n#BSUB\t-n 2\n", "line 2: expected '#BSUB -OPTION' from the start"),
        ("#!/bin/sh\n# BSUB -n 2\n", "line 2: expected '#BSUB -OPTION' from the start"),
        ("#!/bin/sh\n##BSUB -n 2\n", "line 2: expected '#BSUB -OPTION' from the start"),
        ("#!/bin/sh\n#bsub -n 2\n", "line 2: expected '#BSUB -OPTION' from the start"),
        ("#!/bin/sh\n#BSUB\n", "line 2: expected '#BSUB -OPTION' from the start"),
        ("#!/bin/sh\n#BSUB n 2\n", "line 2: expected '#BSUB -OPTION' from the start"),
        (
            "#!/bin/sh\n\nx=1\n#BSUB -n 2\n",
            "line 4: expected #BSUB lines before the first command (line 3)",
        ),
        ("#!/bin/sh\n#BSUB -J naïve\n", "line 2: expected ASCII"),
    ],
)
def test_wrong_file_is_refused(text: str, expected: str) -> None:
    assert message(text).startswith(expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-z 3", "line 2: unknown option '-z'; known are -a, "),
        ("-n", "-n: expected a value, found none"),
        ("-n -q general", "-n: expected a value, found -q"),
        ("-n 2 3", "line 2: expected an option, found '3'"),
        ("-N yes", "line 2: expected an option, found 'yes'"),
        ("-n 2 # tasks", "line 2: expected an option, found '#'"),
        ('-n ""', "-n: expected a value, found none"),
        ("-n 2 -q a -n 3", "-n: expected it once, found it at line 2 too"),
        ("-o a -oo b", "-oo: expected it once, found it at line 2 too"),
        ('-q "general', "-q: expected a quoted or a plain value, found '\"general'"),
        ("-J 'a'b", "-J: expected a quoted or a plain value"),
        ('-J a"b"', "-J: expected a quoted or a plain value"),
        ("-J a\\ b", "line 2: expected no backslash"),
        ("-J name[1-5]", '-J: expected quotes: "name[1-5]"'),
        ("-R span[hosts=1]", '-R: expected quotes: "span[hosts=1]"'),
        ("-a docker(image)", '-a: expected quotes: "docker(image)"'),
        ("-w done(7)", '-w: expected quotes: "done(7)"'),
        ("-R select[mem>1GB] rusage[mem=1GB]", '-R: expected quotes: "select[mem>1GB]"'),
        ('-o "$HOME/log"', "-o: expected no variables"),
        ("-o log.%j", "-o: expected no pattern but %J and %I, found 'log.%j'"),
        ("-n 0", "-n: expected a positive whole number, found '0'"),
        ("-n 2,4", "-n: expected a positive whole number, found '2,4'"),
        ("-q 'a b'", "-q: expected one queue, found 'a b'"),
        ("-q subscription", "-q: expected -sla with the queue subscription"),
        ("-g group", "-g: expected /USER/GROUP, found 'group'"),
        ("-u someone", "-u: expected USER@HOST, found 'someone'"),
        # Memory.
        ("-M 16", "-M: expected a whole number with a unit"),
        ("-M 16000000", "-M: expected a whole number with a unit"),
        ("-M 1.5GB", "-M: expected a whole number with a unit"),
        ("-M 16gb", "-M: expected a whole number with a unit"),
        ("-M 0GB", "-M: expected a whole number with a unit"),
        ("-M 4GB -R 'rusage[mem=5GB]'", "-M: expected at least rusage[mem=…], 5368709120 bytes"),
        # Times.
        ("-W 24h", "-W: expected [HOURS:]MINUTES above 0, found '24h'"),
        ("-W 1:00:00", "-W: expected [HOURS:]MINUTES above 0, found '1:00:00'"),
        ("-W 0:00", "-W: expected [HOURS:]MINUTES above 0, found '0:00'"),
        ("-q general -W 700:00", "-W: expected at most 40320 minutes in the queue general"),
        ("-W 60 -wt 5", "-wt: expected -wa with it"),
        ("-W 60 -wa USR2", "-wa: expected -wt with it"),
        ("-wt 5 -wa USR2", "-wt: expected less than -W, found 5 of None"),
        ("-W 60 -wt 1:00 -wa URG", "-wt: expected less than -W, found 60 of 60"),
        ("-wa SIGUSR2", "-wa: expected a signal to catch, as URG or USR2, found 'SIGUSR2'"),
        ("-wa KILL", "-wa: expected a signal to catch"),
        # Exit codes.
        ("-Q 256", "-Q: expected CODE from 0 to 255, found '256'"),
        ("-Q 140", "-Q: expected codes up to 128: 140 is 128 + a signal"),
        ("-Q '9,99'", "-Q: expected CODE from 0 to 255, found '9,99'"),
        ("-Q '0 99'", "-Q: expected codes of failures"),
        ("-Q all", "-Q: expected codes of failures (as 'all ~0'), found 'all'"),
        ("-Q '99 EXCLUDE 9'", "-Q: expected CODE from 0 to 255, found 'EXCLUDE'"),
        ("-Q '99 EXCLUDE(9'", "-Q: expected CODE … [EXCLUDE(CODE …)]"),
        ("-n 2 -Q 'EXCLUDE(9)'", "-Q: expected no EXCLUDE(…) in a parallel job"),
        # Arrays.
        ("-J 'a b'", "-J: expected NAME or NAME[FIRST-LAST,…][%LIMIT], found 'a b'"),
        ("-J 'a[1-5'", "-J: expected NAME or NAME[FIRST-LAST,…][%LIMIT]"),
        ("-J a%5", "-J: expected NAME or NAME[FIRST-LAST,…][%LIMIT]"),
        ("-J 'a[0-5]'", "-J: expected 1 <= FIRST <= LAST <= 1000, found '0-5'"),
        ("-J 'a[5-4]'", "-J: expected 1 <= FIRST <= LAST <= 1000"),
        ("-J 'a[1-1001]'", "-J: expected 1 <= FIRST <= LAST <= 1000"),
        ("-J 'a[1-5:0]'", "-J: expected 1 <= FIRST <= LAST <= 1000"),
        ("-J 'a[1-5,3]'", "-J: expected each index once, found 'a[1-5,3]'"),
        ("-J 'a[1-5]' -I", "-I: expected no array and no -Q in an interactive job"),
        ("-I -Is", "-Is: expected it once"),
        ("-J 'a[1-5]%0'", "-J: expected a positive %LIMIT"),
        ("-J 'a[1-5]' -o log.%J", "-o: expected %I in the file's name"),
        # Images.
        ("-a 'image'", "-a: expected docker([REGISTRY/]IMAGE[:TAG]), found 'image'"),
        ("-a 'docker()'", "-a: expected docker("),
        ("-a 'docker(Image)'", "-a: expected docker("),
        ("-a 'docker (image)'", "-a: expected docker("),
        # Resources.
        ("-R 'mem[4]'", "-R: unknown section 'mem'; known are select, order, rusage"),
        ("-R 'span[hosts=1]rusage[mem=1GB]'", "-R: expected SECTION[…] and a space"),
        ("-R 'span[hosts=1'", "-R: expected SECTION[…] and a space"),
        ("-R 'span[hosts=1] span[ptile=1]'", "-R: expected span once, found it twice"),
        ("-R 'span[hosts=1] select[gpuhost]'", "-R: expected select[…] before the other"),
        ("-R 'span[hosts=2]'", "-R: span[hosts=2]: expected hosts=1 or ptile=N with a positive N"),
        ("-R 'span[hosts=1,ptile=2]'", "-R: span[hosts=1,ptile=2]: expected hosts=1 or ptile=N"),
        ("-R 'span[ptile=0]'", "-R: span[ptile=0]: expected hosts=1 or ptile=N"),
        ("-n 8 -R 'span[ptile=3]'", "-R: expected a ptile that divides -n 8, found 3"),
        ("-n 2 -R 'span[ptile=4]'", "-R: expected a ptile that divides -n 2, found 4"),
        ("-R 'affinity[core=1]'", "-R: affinity[core=1]: expected core(N)[:cpubind=…]"),
        ("-R 'affinity[core(0)]'", "-R: affinity[core(0)]: expected core(N)"),
        ("-R 'affinity[core(1):distribute=spread]'", "-R: affinity[core(1):distribute=spread]:"),
        ("-R 'rusage[mem=16]'", "-R: rusage[mem=16]: expected a whole number with a unit"),
        ("-R 'rusage[mem=16GB/rank]'", "-R: rusage[mem=16GB/rank]: expected mem=, swp= or tmp="),
        ("-R 'rusage[mem=1GB:mem=2GB]'", "-R: rusage[mem=1GB:mem=2GB]: expected mem= once"),
        ("-R 'rusage[memory=16GB]'", "-R: rusage[memory=16GB]: expected mem=, swp= or tmp="),
        ("-R 'select[mem>16000]'", "-R: select[mem>16000]: expected a whole number with a unit"),
        ("-R 'select[mem>]'", "-R: select[mem>]: expected a value after >"),
        ("-R 'select[a & b]'", "-R: select[a & b]: expected && or || or the end, found '& b'"),
        ("-R 'select[(a]'", "-R: select[(a]: expected a closing )"),
        # GPUs.
        ("-gpu num=1", "-gpu: expected gpuhost first in -R, or select[gpuhost && …]"),
        ("-gpu num=1 -R 'select[mem>1GB && gpuhost]'", "-R: expected gpuhost first in -R"),
        ("-gpu num=1 -R 'select[gpuhost || mem>1GB]'", "-R: expected gpuhost first in -R"),
        ("-gpu num=1 -R 'span[hosts=1]'", "-R: expected gpuhost first in -R"),
        ("-R gpuhost", "-R: expected -gpu with gpuhost"),
        ("-gpu number=1", "-gpu: unknown key 'number'; known are num, mode"),
        ("-gpu num=0", "-gpu: num: expected"),
        ("-gpu num=1:num=2", "-gpu: expected num= once, found it twice"),
        ("-gpu num=1:", "-gpu: unknown key ''"),
        ("-gpu num=1:gmem=8", "-gpu: gmem: expected"),
        ("-gpu num=1:j_exclusive=true", "-gpu: j_exclusive: expected yes|no, found 'true'"),
        # Dependencies.
        ("-w 'done(\"name[1-5]\")'", "-w: expected one element's index or *, and ], found '1-5]"),
        ("-w 'finished(7)'", "-w: unknown condition 'finished'; known are done, ended"),
        ("-w 'done(7'", "-w: expected a closing ) of done("),
        ("-w 'done(7) & done(8)'", "-w: expected && or || or the end, found '& done(8)'"),
        ("-w 'done(7) &&'", "-w: expected a job's ID"),
        ("-w 'numdone(7)'", "-w: expected , and a number of elements or *, found ')'"),
        ("-w 'exit(7, *)'", "-w: expected an exit code, found '*)'"),
        ("-w 'done(7name)'", "-w: expected a job's ID"),
    ],
)
def test_wrong_line_is_refused(line: str, expected: str) -> None:
    if not expected.startswith("line "):
        expected = f"line 2: {expected}"
    assert message(directives(line)).startswith(expected)


def test_place_is_that_of_the_option() -> None:
    wrong = directives("-n 4", "-R 'span[ptile=3]'", "-W 60")
    assert message(wrong) == "line 3: -R: expected a ptile that divides -n 4, found 3"
    assert message(directives("-n 4", "-n 4")) == (
        "line 3: -n: expected it once, found it at line 2 too"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "command line: expected a command after the options, found none"),
        (["-n", "2"], "command line: expected a command after the options, found none"),
        (["-n"], "command line: -n: expected a value, found none"),
        (["-z", "true"], "command line: unknown option '-z'"),
        (["-M", "4", "true"], "command line: -M: expected a whole number with a unit"),
        (["-n", "2", "-n", "3", "true"], "command line: -n: expected it once"),
    ],
)
def test_wrong_command_is_refused(words: list[str], expected: str) -> None:
    with pytest.raises(ValueError) as refused:
        reader.read_command(words)
    assert str(refused.value).startswith(expected)


def test_command_beside_a_file_is_refused() -> None:
    with pytest.raises(ValueError, match="expected no command beside a file"):
        reader.read(ARRAY, ["-n", "2", "true"])
