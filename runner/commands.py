# SPDX-License-Identifier: GPL-2.0
"""What each command of memsafe.py does, once the packages are there."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import cache
import manifest
import record
import report
import run
from cache import Cache
from errors import NoVerdict
from proc import Commands
from progress import Progress
from target import PROJECT


def dispatch(options: argparse.Namespace, argv: list[str]) -> int:
    """Run a command; the result is the exit status."""
    verbs = {"run": _run, "list": _list, "judge": _judge}
    return verbs[options.command](options, argv)


def _tools(progress: Progress, dry: bool = False) -> run.Tools:
    commands = Commands(print, dry)
    return run.Tools(Cache(cache.default_root(), progress.say), commands, progress)


def _run(options: argparse.Namespace, argv: list[str]) -> int:
    wanted = run.Options(
        target=options.target,
        argv=tuple(argv),
        results=options.results.resolve(),
        kernel=options.kernel,
        pattern=options.filter,
        kconfig_add=tuple(options.kconfig_add),
        jobs=options.jobs,
        timeout=options.timeout,
        expectations=options.expect,
    )
    with Progress() as progress:
        document = run.run(wanted, _tools(progress, options.dry_run))
    return _show(document, options.json)


def _show(document: dict[str, Any], as_json: bool) -> int:
    if as_json:
        json.dump(document, sys.stdout, indent=1)
        print()
    else:
        for shown in document["targets"]:
            print(report.summary(shown), end="")
    return run.exit_status(document["verdict"])


def _list(options: argparse.Namespace, argv: list[str]) -> int:
    for line in run.listed(manifest.select(manifest.jobs(PROJECT), options.filter)):
        print(line)
    return 0


def _judge(options: argparse.Namespace, argv: list[str]) -> int:
    folder: Path = options.folder
    if not folder.is_dir():
        raise NoVerdict(f"{folder} is no folder")
    found = [path.parent for path in sorted(folder.glob("*/run.json"))]
    if not found:
        record.load(folder)
        found = [folder]
    documents = [run.judged(path, options.expect) for path in found]
    return max(_show(document, options.json) for document in documents)
