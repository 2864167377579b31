# SPDX-License-Identifier: GPL-2.0
"""What each command of memsafe.py does, once the packages are there."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import bench
import cache
import judge
import manifest
import mutate
import overlay
import record
import report
import results
import run
from cache import Cache
from errors import NoVerdict, UsageError
from proc import Commands
from progress import Progress
from target import PROJECT

GIB = 1 << 30


def dispatch(options: argparse.Namespace, argv: list[str]) -> int:
    """Run a command; the result is the exit status."""
    verbs = {
        "run": _run,
        "exec": _run,
        "noop": _noop,
        "mutate": _mutate,
        "bench": _bench,
        "build": _build,
        "list": _list,
        "judge": _judge,
        "parse": _parse,
        "overlay": _overlay,
        "cache": _cache,
    }
    with Progress() as progress:
        dry = getattr(options, "dry_run", False)
        commands = Commands(print, dry)
        tools = run.Tools(Cache(cache.default_root(), progress.say), commands, progress)
        return verbs[options.command](options, argv, tools)


def _options(options: argparse.Namespace, argv: list[str]) -> run.Options:
    given: dict[str, Any] = vars(options)
    if given.get("tests") and not given["tests"].is_dir():
        raise UsageError(f"--tests {given['tests']} is no folder")
    return run.Options(
        target=options.target,
        argv=tuple(argv),
        results=given.get("results", PROJECT / "results").resolve(),
        kernel=given.get("kernel"),
        pattern=given.get("filter"),
        kconfig_add=tuple(given.get("kconfig_add", ())),
        jobs=given.get("jobs", 0),
        timeout=given.get("timeout", 0),
        environment=tuple(given.get("env", ())),
        leaks=not given.get("no_leaks", False),
        tests=given["tests"].resolve() if given.get("tests") else None,
        expectations=given.get("expect"),
        image=given.get("image"),
        modules=given.get("modules"),
        config=given.get("config"),
    )


def _run(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    if options.dry_run:
        run.plan(_options(options, argv), tools)
        return 0
    return _show(run.run(_options(options, argv), tools), options.json)


def _show(document: Mapping[str, Any], as_json: bool) -> int:
    if as_json:
        print(json.dumps(document, indent=1))
    else:
        for shown in document["targets"]:
            print(report.summary(shown), end="")
    return run.exit_status(document["verdict"])


def _noop(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    wanted = replace(
        _options(options, argv), environment=(f"MEMSAFE_NOOP={options.returns}",), leaks=False
    )
    lines, good = run.no_ops(wanted, tools)
    print("\n".join(lines))
    print(f"no-op harness: {'every test noticed' if good else 'not every test noticed'}")
    return 0 if good else 1


def _mutate(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    lines, status = mutate.mutate(_options(options, argv), options.patches, options.resume, tools)
    for line in lines:
        print(report.clean(line))
    return status


def _bench(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    print("\n".join(bench.bench(_options(options, argv), tools, options.rounds)))
    return 0


def _build(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    wanted = _options(options, argv)
    target = run.load(wanted)
    log = tools.cache.root / "build.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    builder = run.make_builder(wanted, tools, log)
    with run.built(wanted, target, builder, tools) as ready:
        tools.progress.done()
        modules = next(iter(ready.stage.modules.values())).parent if ready.stage.modules else ""
        print(f"--image {ready.kernel.image} --modules {modules} --config {ready.kernel.config}")
    return 0


def _list(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    for job in manifest.select(manifest.jobs(PROJECT), options.filter):
        print(job.kind, job.name)
        for case in job.cases:
            print(f"  {case}")
    return 0


def _judge(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    folder: Path = options.folder
    found = [path.parent for path in sorted(folder.glob("*/run.json"))]
    if not found:
        record.load(folder)
        found = [folder]
    statuses = [_show(results.judged(path, options.expect), options.json) for path in found]
    return 1 if 1 in statuses else max(statuses)


def _parse(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    try:
        data = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
    except OSError as error:
        raise NoVerdict(f"can't read {options.file}: {error.strerror}") from None
    cases, reports, problems = judge.of_log(data.decode(errors="replace"))
    shown = {
        "cases": [report.case_object(case) for case in cases],
        "reports": [report.report_object(found) for found in reports],
        "problems": [report.clean(problem) for problem in problems],
    }
    print(json.dumps(shown, indent=1) if options.json else report.log_summary(shown))
    bad = reports or problems or any(case.status in ("fail", "error", "miss") for case in cases)
    passed = any(case.status == "pass" for case in cases)
    return 1 if reports or (bad and cases) else 0 if passed else 2


def _overlay(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    overlay.make(options.tree, options.output, PROJECT)
    print(f"cd {options.output} && tools/testing/kunit/kunit.py run --kunitconfig=lib/memsafe")
    return 0


def _cache(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    if options.action == "prune":
        cap = cache.cap_bytes() if options.gib is None else int(options.gib * GIB)
        for entry in tools.cache.prune(cap):
            print(f"removed {entry.path} ({entry.size / GIB:.2f} GiB)")
    for entry in tools.cache.entries():
        print(f"{entry.size / GIB:7.2f} GiB  {entry.path}")
    return 0
