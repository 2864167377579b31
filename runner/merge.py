# SPDX-License-Identifier: GPL-2.0
"""The one run that the shards of it are together.  Merged are the records: the
verdict is that of one judge over everything, never a sum of verdicts.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import record
import results
from errors import NoVerdict, UsageError
from record import GuestResult, JobResult, Run
from shard import part

# What shards of one run agree in.
SAME = ("kernel", "config_hash", "commit", "dirty", "compiler", "whole")
TEXTS = ("console.log", "results.ktap")


def merge(folders: Sequence[Path], top: Path, say: Callable[[str], None]) -> Path:
    """One run of the shards in some results folders, each once, in a folder of its
    own below `top`.  NoVerdict when one is missing, UsageError when they are not of
    one run."""
    found = [(path, record.load(path)) for folder in folders for path in results.saved(folder)]
    shards = _in_order(found, say)
    folder = results.new_folder(top, shards[0][1].target)
    merged = shards[0][1]
    merged = replace(merged, manifest=(), results=(), guests=(), problems=(), seconds={})
    for path, each in shards:
        merged = _add(merged, each, _append(path, folder))
    first = shards[0][1].facts
    known = {name: value for name, value in first.items() if name not in ("shard", "whole_filtered")}
    known["reproduce"] = _whole(first.get("reproduce", ""))
    merged = replace(merged, facts=known, filtered=first["whole_filtered"] == "yes")
    names = sorted(job.name for job in merged.manifest)
    if len(set(names)) < len(names):
        raise UsageError("the shards run the same jobs: they are not of one run")
    merged.save(folder)
    shutil.copyfile(shards[0][0] / "config", folder / "config")
    return folder


def _whole(reproduce: str) -> str:
    """The command line of a shard for all of them."""
    words = shlex.split(reproduce)
    if "--shard" in words:
        place = words.index("--shard")
        del words[place : place + 2]
    return shlex.join(words)


def _in_order(
    found: Sequence[tuple[Path, Run]], say: Callable[[str], None]
) -> list[tuple[Path, Run]]:
    """Each shard once, by its number."""
    if not found or not all("shard" in run.facts for _, run in found):
        other = next((path for path, run in found if "shard" not in run.facts), None)
        raise UsageError(f"{other} is no shard of a run: `run --shard I/N` makes them")
    first = found[0][1]
    for path, run in found:
        for name in SAME:
            if run.facts.get(name) != first.facts.get(name):
                raise UsageError(f"{path} is of another run: its {name} is another")
        if run.target != first.target:
            raise UsageError(f"{path} is of another target, {run.target}")
    count = max(part(run.facts["shard"]).count for _, run in found)
    chosen: dict[int, tuple[Path, Run]] = {}
    for path, run in found:
        mine = part(run.facts["shard"])
        if mine.count != count:
            raise UsageError(f"{path} is shard {mine}, others are of {count}")
        before = chosen.get(mine.number)
        if before:
            say(f"shard {mine} is there twice: {path} and {before[0]}")
        if not before or _ended(run) >= _ended(before[1]):
            chosen[mine.number] = (path, run)
    missing = [f"{number}/{count}" for number in range(1, count + 1) if number not in chosen]
    if missing:
        raise NoVerdict(f"shard {', '.join(missing)} is missing")
    return [chosen[number] for number in sorted(chosen)]


def _ended(run: Run) -> int:
    """How much of a shard there is: one that was killed has less than its repetition."""
    return len(run.results) + sum(guest.ended for guest in run.guests)


def _append(source: Path, folder: Path) -> dict[str, int]:
    """Put a shard's texts behind those that are there; where they begin."""
    starts = {}
    for name in TEXTS:
        with (folder / name).open("ab") as whole:
            starts[name] = whole.tell()
            if (source / name).exists():
                with (source / name).open("rb") as part_of_it:
                    shutil.copyfileobj(part_of_it, whole)
    decoded: dict[str, object] = {}
    for path in (folder / "decoded.json", source / "decoded.json"):
        try:
            decoded |= json.loads(path.read_text())
        except (OSError, ValueError, TypeError):
            continue
    (folder / "decoded.json").write_text(json.dumps(decoded, indent=1) + "\n")
    return starts


def _add(merged: Run, shard: Run, starts: dict[str, int]) -> Run:
    """The record with a shard's, whose guests follow those that are there."""
    guests = 1 + max((guest.index for guest in merged.guests), default=-1)
    batches = 1 + max((guest.batch for guest in merged.guests), default=-1)

    def moved(result: JobResult) -> JobResult:
        offset = result.offset + starts["results.ktap"]
        return replace(result, guest=result.guest + guests, offset=offset)

    def shifted(guest: GuestResult) -> GuestResult:
        (console, console_len), (leaks, leaks_len) = guest.console, guest.leaks
        return replace(
            guest, index=guest.index + guests, batch=guest.batch + batches,
            console=(console + starts["console.log"], console_len),
            leaks=(leaks + starts["results.ktap"], leaks_len),
        )  # fmt: skip

    seconds = dict(merged.seconds)
    for name, value in shard.seconds.items():
        seconds[name] = seconds.get(name, 0.0) + value
    return replace(
        merged,
        manifest=(*merged.manifest, *shard.manifest),
        results=(*merged.results, *map(moved, shard.results)),
        guests=(*merged.guests, *map(shifted, shard.guests)),
        problems=(*merged.problems, *shard.problems),
        seconds=seconds,
    )
