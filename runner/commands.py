# SPDX-License-Identifier: GPL-2.0
"""What each command of memsafe.py does, once the packages are there."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import bench
import cache
import compare
import draft
import durability
import drive
import exports
import gate
import history
import isolate
import judge
import manifest
import merge
import mutate
import overlay
import report
import results
import noops
import run
import submit
import suspect
import target as targets
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
        "isolate": _isolate,
        "durability": _durability,
        "mutate": _mutate,
        "gate": _gate,
        "drive": _drive,
        "bench": _bench,
        "build": _build,
        "list": _list,
        "judge": _judge,
        "merge": _merge,
        "submit": _submit,
        "expect": _expect,
        "history": _history,
        "report": _report,
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
        target=given.get("target", ""),
        argv=tuple(argv),
        results=given.get("results", PROJECT / "results").resolve(),
        kernel=given.get("kernel"),
        pattern=given.get("filter"),
        kconfig_add=tuple(given.get("kconfig_add", ())),
        jobs=given.get("jobs", 0),
        timeout=given.get("timeout", 0),
        environment=tuple(given.get("env", ())),
        hammer=given.get("hammer", 0),
        leaks=not given.get("no_leaks", False),
        cold=given.get("cold", False),
        tests=given["tests"].resolve() if given.get("tests") else None,
        expectations=given.get("expect"),
        image=given.get("image"),
        modules=given.get("modules"),
        config=given.get("config"),
        shard=given.get("shard"),
        kernel_args=tuple(given.get("kernel_args", ())),
    )


def _run(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    if options.dry_run:
        run.plan(_options(options, argv), tools)
        return 0
    wanted = _options(options, argv)
    name = vars(options).get("bisect")
    if name:
        document = run.run(replace(wanted, pattern=wanted.pattern or suspect.jobs(name)), tools)
        (target,) = document["targets"]
        print("\n".join(report.clean(line) for line in suspect.said(name, target)))
        return suspect.ended(name, target)
    return _show(run.run(wanted, tools), options.json)


def _show(document: Mapping[str, Any], as_json: bool) -> int:
    if as_json:
        print(json.dumps(document, indent=1))
    else:
        for shown in document["targets"]:
            print(report.summary(shown), end="")
    return run.exit_status(document["verdict"])


def _isolate(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    (saved, *others) = results.saved(options.folder)
    if others:
        raise UsageError(f"{options.folder} is of several targets: name one of its folders")
    found = isolate.isolate(_options(options, argv), saved, options.case, tools)
    print("\n".join(isolate.lines(found)))
    return 0 if found.upset_by else 1 if found.alone else 2


def _durability(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    plan = durability.Plan(options.rounds, options.seed, options.mount)
    done = durability.durability(_options(options, argv), plan, tools)
    print("\n".join(durability.lines(plan, done)))
    return 0 if done[-1].good else 1


def _noop(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    wanted = replace(_options(options, argv), leaks=False)
    lines, good = noops.no_ops(wanted, options.returns, tools)
    print("\n".join(lines))
    print(f"no-op harness: {'every test noticed' if good else 'not every test noticed'}")
    return 0 if good else 1


def _mutate(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    how = mutate.How(options.resume, options.apart, options.full, options.shard)
    return _say_mutants(*mutate.mutate(_options(options, argv), options.patches, how, tools))


def _say_mutants(lines: list[str], status: int) -> int:
    for line in lines:
        print(report.clean(line))
    return status


def _gate(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    if options.runs:
        if options.resume or options.affected:
            word = "--resume" if options.resume else "--affected"
            raise UsageError(f"{word} is of a call with a tree: saved runs are compared at once")
        documents = [_compared(options.runs, options.expect)]
    else:
        documents = gate.gate(_options(options, argv), _request(options), tools)
    if options.json:
        print(json.dumps(documents, indent=1))
    else:
        print(report.clean("\n".join(line for each in documents for line in compare.lines(each))))
    statuses = [run.exit_status(each["verdict"]) for each in documents]
    return 1 if 1 in statuses else max(statuses)


def _compared(runs: list[Path], expect: Path | None) -> dict[str, Any]:
    """Two saved runs of one target."""
    if len(runs) != 2:
        raise UsageError("gate takes two saved runs, base and patched, or --base")
    shown = []
    for path in runs:
        found = results.saved(path)
        if len(found) != 1:
            raise UsageError(f"{path} holds several runs: name one, results/<run>/<target>")
        shown.append(results.judged(found[0], expect)["targets"][0])
    if shown[0]["target"] != shown[1]["target"]:
        raise UsageError(f"runs of {shown[0]['target']} and {shown[1]['target']} can't be compared")
    return gate.saved(*shown)


def _request(options: argparse.Namespace) -> gate.Request:
    common = gate.Request(
        each=options.each, alpha=options.alpha, budget=float(options.budget),
        sandbox=not options.no_sandbox, resume=options.resume, affected=options.affected,
    )  # fmt: skip
    if options.base_tree or options.patched_tree:
        return replace(common, trees=_trees(options), sandbox=False)
    if not options.base:
        raise UsageError("gate needs --base REV, or two saved runs")
    if options.patch and options.patched:
        raise UsageError("--patch and --patched are two ways to say one thing")
    return replace(
        common, tree=options.tree or Path(), base=options.base, patched=options.patched or "",
        patches=tuple((name, _read(name)) for name in options.patch),
    )  # fmt: skip


def _trees(options: argparse.Namespace) -> tuple[Path, Path]:
    base, patched = options.base_tree, options.patched_tree
    if not base or not patched:
        raise UsageError("--base-tree and --patched-tree are given together")
    given = vars(options)
    for name in ("tree", "base", "patched", "patch", "each"):
        if given[name]:
            raise UsageError(f"--{name} is of a git tree: with --base-tree it says nothing")
    if base.resolve() == patched.resolve():
        raise UsageError(f"{base} is both the base and patched")
    return base, patched


def _read(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise NoVerdict(f"can't read {name}: {error.strerror}") from None


def _drive(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    words = [word for given in options.contract for word in given.split(",")]
    request = drive.Request(
        options.node, options.size, options.offset,
        (*(["read_only"] if options.read_only else []), *words),
        options.adapter, options.module, options.parameters, options.guest, not options.no_sandbox,
        options.on_this_host,
    )  # fmt: skip
    wanted = replace(_options(options, argv), reproduce=shlex.join(["runner/memsafe.py", *argv]))
    document, seconds = drive.drive(wanted, request, tools)
    if not options.json:
        print(drive.times(seconds))
    return _show(document, options.json)


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
    found = results.saved(options.folder)
    statuses = [_show(results.judged(path, options.expect), options.json) for path in found]
    return 1 if 1 in statuses else max(statuses)


def _merge(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    return _merged(options.folders, options, tools)


def _merged(folders: Sequence[Path], options: argparse.Namespace, tools: run.Tools) -> int:
    if all((folder / "mutants").is_dir() for folder in folders):
        return _say_mutants(*mutate.merge(folders, options.results.resolve()))
    folder = merge.merge(folders, options.results.resolve(), tools.progress.say)
    document = results.judged(folder, options.expect)
    results.write(document, folder)
    for problem in (history.add(folder), results.export(document, folder)):
        if problem:
            tools.progress.say(problem)
    return _show(document, options.json)


def _submit(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    asked = submit.asked(options.words)
    # Said now, what each task would say when its turn has come.
    wanted = _options(asked, options.words)
    targets.load(wanted.target)
    run.selected(wanted)
    folders = submit.submit(
        options.slurm, options.words, options.sbatch, options.results.resolve(), tools
    )
    asked.results = options.results
    return _merged(folders, asked, tools)


def _expect(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    for path in results.saved(options.folder):
        for shown in results.judged(path, options.expect)["targets"]:
            print("\n".join([f"# {shown['target']}", *draft.draft(shown)]))
    return 0


def _history(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    if options.filter == "rebuild":
        count, problems = history.rebuild(options.results)
        for problem in problems:
            tools.progress.say(problem)
        print(f"{count} runs")
        return 2 if problems else 0
    found = history.past(
        options.results, options.filter or "*", options.target, failed=not options.filter
    )
    print(report.clean("\n".join(history.table(found))))
    return 0


def _report(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    folder, *more = results.saved(options.folder)
    if more:
        raise UsageError(f"{options.folder} has {len(more) + 1} targets; name one of their folders")
    document = results.judged(folder, options.expect)
    if options.format == "html":
        text = results.page_of(document, folder)
    elif options.format == "mail":
        text = exports.mail(document, options.url)
    else:
        value: object = results.kcidb_of(document, folder)
        if options.format != "kcidb":
            check = {"patchwork": exports.patchwork, "b4": exports.b4}[options.format]
            value = check(document, options.url)
        text = json.dumps(value, indent=1) + "\n"
    print(text, end="")
    return 0


def _parse(options: argparse.Namespace, argv: list[str], tools: run.Tools) -> int:
    cases, reports, problems = judge.of_log(_read(options.file).decode(errors="replace"))
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
