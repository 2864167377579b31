# SPDX-License-Identifier: GPL-2.0
"""A run, or a campaign of mutants, as an array job of Slurm: a shard each task.

results/<run>/slurm/ has job.sh and for each task shard-<i>.log and shard-<i>/, in which
are the shard's results and, once the command has ended, its status.  All machines must
see the project, the present folder and the results under the same names; no accounting
is needed.
"""

from __future__ import annotations

import argparse
import secrets
import shlex
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import results
import usage
from errors import NoVerdict, UsageError
from mutate import RECORD
from run import Tools
from target import PROJECT

PROGRAM = PROJECT / "runner/memsafe.py"
# Words of a command that say what submit says, or what shards can't do.
NOT_SHARED = ("shard", "resume", "bisect", "dry_run")
# What a command has ended with that did not end early: pass, fail, no verdict.
ENDED = ("0", "1", "2")
POLL_S = 5.0
# A file server shows what another machine has written up to a minute late (nfs(5),
# acdirmax).
SETTLE_S = 70.0
SUBMIT_S = 120.0

# A task is begun again when its node has died.  The node that was given up may still
# run the earlier try: only the last one says how the shard has ended.
SCRIPT = """\
#!/bin/sh
{directives}
cd {here} || exit 1
shard={folder}/shard-$SLURM_ARRAY_TASK_ID
try=${{SLURM_RESTART_COUNT:-0}}
rm -f "$shard/status" || exit 1
{again}
mkdir -p "$shard" && echo "$try" >"$shard/try" || exit 1
{call} --shard "$SLURM_ARRAY_TASK_ID/{count}" --results "$shard" "$@" {words}
status=$?
test "$(cat "$shard/try")" = "$try" || exit 1
echo "$status" >"$shard/status.half" && mv "$shard/status.half" "$shard/status"
"""
ANEW = 'rm -rf "$shard" || exit 1; set --'
GO_ON = 'set --; if test -d "$shard/latest/mutants"; then set -- --resume "$shard/latest"; fi'


@dataclass(frozen=True)
class Array:
    """`count` tasks that share a command line.  `name` is the job's, and no other's;
    `sbatch` are words of the user's for it; `here` is where the command was given."""

    count: int
    words: tuple[str, ...]
    sbatch: tuple[str, ...]
    folder: Path
    name: str
    here: Path

    def shard(self, number: int) -> Path:
        return self.folder / f"shard-{number}"

    def status(self, number: int) -> str:
        """What a shard's command has ended with; empty before."""
        try:
            return (self.shard(number) / "status").read_text().strip()
        except OSError:
            return ""

    def ended(self) -> dict[int, str]:
        found = {number: self.status(number) for number in range(1, self.count + 1)}
        return {number: status for number, status in found.items() if status}

    def missing(self) -> list[int]:
        """Shards that did not end, or have left nothing that can be merged."""
        return [
            number
            for number in range(1, self.count + 1)
            if self.status(number) not in ENDED or not _has_results(self.shard(number) / "latest")
        ]


def asked(words: Sequence[str]) -> argparse.Namespace:
    """The command to be shared.  UsageError when it takes no such words, or has no
    shards."""
    found = usage.parser().parse_args(list(words))
    given = vars(found)
    if "shard" not in given:
        raise UsageError(f"{found.command} has no shards: submit is for run, exec and mutate")
    for name in NOT_SHARED:
        if given.get(name):
            raise UsageError(f"--{name} is for a call that is not shared: submit takes none")
    if found.results != PROJECT / "results":
        raise UsageError(f"--results is a word of submit: it stands before {found.command}")
    return found


def submit(
    count: int, words: Sequence[str], sbatch: Sequence[str], top: Path, tools: Tools
) -> list[Path]:
    """Run all shards and wait for them: their results folders.  NoVerdict when one
    is missing.  Who interrupts it cancels the job."""
    if not shutil.which("sbatch"):
        raise NoVerdict("no sbatch on this machine: install the package slurm-client")
    folder = results.new_folder(top, "slurm")
    name = f"memsafe-{folder.parent.name}-{secrets.token_hex(4)}"
    array = Array(count, tuple(words), tuple(sbatch), folder, name, Path.cwd())
    job = folder / "job.sh"
    job.write_text(script(array))
    try:
        said = tools.commands.output([*command(array), str(job)], timeout=SUBMIT_S)
        _wait(array, said.strip(), tools)
    except BaseException:
        _cancel(array, tools)
        raise
    if lacking := array.missing():
        parts = ", ".join(f"{number}/{count}" for number in lacking)
        raise NoVerdict(f"shard {parts} is missing: see {array.shard(lacking[0])}.log")
    return [array.shard(number) / "latest" for number in range(1, count + 1)]


def script(array: Array) -> str:
    """What each task runs."""
    directives = "\n".join(f"#SBATCH {word}" for word in _directives(array))
    name, *words = array.words
    return SCRIPT.format(
        directives=directives,
        here=shlex.quote(str(array.here)),
        folder=shlex.quote(str(array.folder)),
        again=GO_ON if "resume" in vars(asked(array.words)) else ANEW,
        call=shlex.join([str(PROGRAM), name]),
        count=array.count,
        words=shlex.join(words),
    )


def command(array: Array) -> list[str]:
    """How the script is submitted: what shards rely on overrides the user's words."""
    # In a file's name % begins a placeholder, and so it would in its folder's.
    log = f"{array.folder}/shard-".replace("%", "%%")
    return ["sbatch", "--parsable", *array.sbatch, *_directives(array), f"--output={log}%a.log"]


def _directives(array: Array) -> list[str]:
    """Each without a blank: sbatch reads them in the script as well."""
    return [f"--array=1-{array.count}", f"--job-name={array.name}", "--requeue", "--open-mode=append"]


def _has_results(folder: Path) -> bool:
    return any(folder.glob("*/run.json")) or (folder / "mutants" / RECORD).exists()


def _wait(array: Array, job: str, tools: Tools) -> None:
    """Until no task is left, and what all have written is seen."""
    tools.progress.step(f"array job {job}, {array.count} shards in {array.folder}")
    shown: dict[int, str] = {}
    while True:
        try:
            left = _left(array, tools)
        except NoVerdict as error:  # what is not known has not ended
            tools.progress.detail(str(error))
        else:
            shown = _show(array, shown, tools)
            if not left:
                break
            states = ", ".join(f"{number} {state}" for state, number in sorted(left.items()))
            tools.progress.detail(f"{len(shown)} of {array.count} have ended; {states}")
        time.sleep(POLL_S)
    deadline = time.monotonic() + SETTLE_S
    while array.missing() and time.monotonic() < deadline:
        time.sleep(POLL_S)
    _show(array, shown, tools)
    tools.progress.done()


def _left(array: Array, tools: Tools) -> Counter[str]:
    """How many tasks there are in each state; NoVerdict while Slurm does not answer."""
    words = ["squeue", "--noheader", "--array", f"--name={array.name}", "--format=%T (%r)"]
    said = tools.commands.output(words)
    return Counter(line.strip().removesuffix(" (None)") for line in said.splitlines() if line.strip())


def _show(array: Array, shown: dict[int, str], tools: Tools) -> dict[int, str]:
    """Say which shards have ended since; the status of all that have."""
    ended = array.ended()
    for number, status in ended.items():
        if number not in shown:
            tools.progress.say(f"shard {number}/{array.count} has ended with status {status}")
    return ended


def _cancel(array: Array, tools: Tools) -> None:
    """By the job's name: its number may not have been said yet."""
    try:
        tools.commands.output(["scancel", f"--name={array.name}"])
    except NoVerdict as error:
        tools.progress.say(f"{error}; tasks of {array.name} may go on")
