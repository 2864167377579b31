# SPDX-License-Identifier: GPL-2.0
"""Mutants that share an image of the kernel (schemata.py): built once, booted for
each of them with that one awake."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import build
import mirror
import patch
import run
import schemata
import trial
from build import digest
from errors import NotBuilt, NoVerdict
from mutants import Baseline, Mutant, Result
from run import Built
from trial import Campaign, Judged

# How often what the compiler refuses is left out before all go their own ways.
ROUNDS = 3


@dataclass(frozen=True)
class Image:
    """What is booted: `numbers` are those that wake the mutants in it, `off` by how
    many lines their patches were, `absent` those that this configuration lacks."""

    campaign: Campaign
    ready: Built
    content: str
    numbers: Mapping[str, int]
    off: Mapping[str, int]
    absent: frozenset[str]


@contextmanager
def image(campaign: Campaign, chosen: Sequence[Mutant]) -> Iterator[Image | None]:
    """All mutants that can be, in one kernel, held while it is in use; None when
    there is none.  The source is as it was at the end."""
    texts, off = _texts(campaign, chosen)
    for _ in range(ROUNDS):
        woven, numbers, refused = schemata.weave(texts, lambda name: mirror.read(campaign.tree / name))
        for name, reason in refused.items():
            campaign.tools.progress.say(f"{name} needs a kernel of its own: {reason}")
            del texts[name]
        if not numbers:
            break
        with ExitStack() as held:
            try:
                ready = held.enter_context(_built(campaign, woven, len(numbers)))
            except NotBuilt as error:
                culprits = _culprits(error, numbers, woven)
                campaign.tools.progress.say(_left_out(culprits, error))
                texts = {name: text for name, text in texts.items() if name not in culprits}
                if not culprits:
                    break
                continue
            content = digest(*(f"{name}:{text}" for name, text in sorted(woven.items())))
            yield Image(campaign, ready, content, numbers, off, _absent(ready, numbers))
            return
    yield None


def _texts(
    campaign: Campaign, chosen: Sequence[Mutant]
) -> tuple[dict[str, dict[str, str]], dict[str, int]]:
    """The files of each mutant as it leaves them; without those that don't apply, or
    that make or remove a file."""
    texts: dict[str, dict[str, str]] = {}
    far: dict[str, int] = {}
    for one in chosen:
        try:
            found, far[one.name] = trial.changed_texts(campaign.tree, one.patch)
        except patch.DoesNotApply:
            continue
        whole = {name: text for name, text in found.items() if text is not None}
        if len(whole) == len(found) and not any(change.creates for change in one.patch.changes):
            texts[one.name] = whole
    return texts, far


@contextmanager
def _built(campaign: Campaign, woven: Mapping[str, str], count: int) -> Iterator[Built]:
    assert campaign.mirror
    campaign.tools.progress.say(f"one kernel with {count} mutants asleep")
    builder = run.make_builder(campaign.options, campaign.tools, campaign.folder / "build.log")
    with mirror.changed(campaign.tree, campaign.mirror, woven):
        with run.built(campaign.options, campaign.target, builder, campaign.tools) as ready:
            yield ready


def _culprits(
    error: NotBuilt, numbers: Mapping[str, int], woven: Mapping[str, str]
) -> set[str]:
    """The mutants that the compiler names, or else those whose calls it refuses."""
    found = _named(str(error)) or _named("".join(_lines(str(error), woven)))
    return {name for name, number in numbers.items() if number in found}


def _named(text: str) -> set[int]:
    return {int(number) for number in re.findall(r"__mutant_(\d+)\b", text)}


def _lines(error: str, woven: Mapping[str, str]) -> Iterator[str]:
    """Those of the woven files that have an error."""
    for path, number in re.findall(r"(\S+):(\d+):\d+: error:", error):
        for name, text in woven.items():
            if f"/{path}".endswith(f"/{name}"):
                yield "".join(text.split("\n")[int(number) - 1 : int(number)])


def _left_out(culprits: set[str], error: NotBuilt) -> str:
    if culprits:
        return f"does not build together: {', '.join(sorted(culprits))}"
    return f"the mutants do not build together: {trial.gist(error)}"


def _absent(ready: Built, numbers: Mapping[str, int]) -> frozenset[str]:
    """Those whose names are in no binary: each says its own when it runs."""
    files = [ready.kernel.folder / "vmlinux", *ready.stage.modules.values()]
    missing = dict(numbers)
    for file in files:
        data = file.read_bytes()
        missing = {name: number for name, number in missing.items() if _said(name) not in data}
    return frozenset(missing)


def _said(name: str) -> bytes:
    return name.encode() + b"\0"


def baseline(image: Image) -> Baseline:
    """The image with all of them asleep."""
    key = digest(image.campaign.key, image.content)
    return trial.baseline(
        image.campaign, key, lambda folder: _boot(image, image.campaign, 0, folder, None, {})
    )


def attempts(image: Image, chosen: Sequence[Mutant], before: Baseline) -> Iterator[Result]:
    """What becomes of mutants that are in the image, as they end: as many side by side
    as make has jobs.  Their guests wait for cores as all guests do."""
    campaign = image.campaign
    workers = min(campaign.options.jobs or build.cpus(), build.cpus())
    with ThreadPoolExecutor(max_workers=workers) as pool:
        running = [pool.submit(attempt, image, one, before) for one in chosen]
        try:
            for done in as_completed(running):
                yield done.result()
        except BaseException:
            campaign.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def attempt(image: Image, one: Mutant, before: Baseline) -> Result:
    """What becomes of a mutant that is in the image."""
    campaign = image.campaign
    result = replace(trial.result_of(campaign, one, "no verdict"), off=image.off[one.name])
    if one.name in image.absent:
        return replace(result, outcome="not built", detail="its code is not in this configuration")
    campaign.tools.progress.say(f"mutant {one.name}")
    folder = campaign.folder / result.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    seconds: dict[str, float] = {}
    try:
        number = image.numbers[one.name]
        done = _boot(image, trial.begun(campaign, one), number, folder, before, seconds)
    except trial.TestsChanged:
        raise
    except NoVerdict as error:
        return replace(trial.not_run(result, folder, error), seconds=seconds)
    told = trial.told(replace(result, seconds=seconds, facts=done.facts), done, before)
    if told.outcome == "survived" and not _ran(folder, one.name):
        return replace(told, detail="its code never ran")
    return told


def _ran(folder: Path, name: str) -> bool:
    consoles = folder.glob("**/console.log")
    return any(f"memsafe: MUTANT {name}\n" in path.read_text(errors="replace") for path in consoles)


def _boot(
    image: Image,
    campaign: Campaign,
    number: int,
    folder: Path,
    before: Baseline | None,
    seconds: dict[str, float],
) -> Judged:
    options = whole = replace(campaign.options, awake=number)
    if number:
        # What it does to a booting kernel can be what is noticed.
        words = (*campaign.options.kernel_args, f"memsafe_mutant={number}")
        whole = replace(campaign.options, kernel_args=words, cold=True)
    done = trial.boot(campaign, options, image.ready, image.content, folder, before, seconds, whole)
    trial.check_tests(campaign)
    return done
