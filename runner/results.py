# SPDX-License-Identifier: GPL-2.0
"""A results folder: results/<run>/<target>/, written by one run, judged by any."""

from __future__ import annotations

import datetime
import glob
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import expect
import exports
import history
import judge
import page
import record
import report
from errors import NoVerdict
from expect import Expectations
from target import CONFIGS, PROJECT

# Runs in a page's history.
PLOTTED = 60


def new_folder(results: Path, name: str) -> Path:
    """results/<time>/<target>, with results/latest pointing at the run."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    results.mkdir(parents=True, exist_ok=True)
    top = results / stamp
    for attempt in range(1, 1000):
        try:
            top.mkdir()
            break
        except FileExistsError:
            top = results / f"{stamp}-{attempt}"
    folder = top / name
    folder.mkdir()
    link = results / f".latest-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(top.name)
    link.replace(results / "latest")
    return folder


def saved(folder: Path) -> list[Path]:
    """The targets' folders of a run, or a target's folder itself."""
    found = [path.parent for path in sorted(folder.glob("*/run.json"))]
    if not found:
        record.load(folder)
    return found or [folder]


def texts(folder: Path) -> dict[str, bytes]:
    names = ("console.log", "results.ktap")
    return {
        name: (folder / name).read_bytes() if (folder / name).exists() else b"" for name in names
    }


def expectations(target: str, version: str, own: Path | None) -> Expectations:
    """What configs/expect/ says of a target on a kernel of this version, or a file
    of the user's own."""
    path = own or CONFIGS / "expect" / f"{target}.txt"
    if own and not own.is_file():
        raise NoVerdict(f"no file of expectations: {own}")
    text = path.read_text(errors="replace") if path.exists() else ""
    shown = path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path
    return expect.parse(text, datetime.date.today(), str(shown)).scoped(target, version)


def judged(folder: Path, own: Path | None = None) -> dict[str, Any]:
    """Judge what is in a target's results folder, by expectations of the user's own,
    or by those that the run has brought along."""
    run_record = record.load(folder)
    found = texts(folder)
    if own is None and (folder / "expect.txt").is_file():
        own = folder / "expect.txt"
    expected = expectations(run_record.target, run_record.facts.get("kernel", ""), own)
    try:
        decoded = json.loads((folder / "decoded.json").read_text())
    except (OSError, ValueError):
        decoded = None
    decoded = decoded if isinstance(decoded, dict) else {}
    verdict = judge.judge(
        run_record, found["results.ktap"], found["console.log"], expected, decoded
    )
    shown = report.target_object(run_record, verdict, run_record.facts.get("reproduce", ""))
    return report.document([shown], _document_facts(run_record.facts))


def _document_facts(facts: Mapping[str, str]) -> dict[str, Any]:
    return {
        "argv": json.loads(facts.get("argv", "[]")),
        "commit": facts.get("commit", ""),
        "dirty": facts.get("dirty") == "yes",
        "compiler": facts.get("compiler", ""),
        "qemu": facts.get("qemu", ""),
    }


def write(document: Mapping[str, Any], folder: Path) -> None:
    """verdict.json, summary.txt and junit.xml of one target."""
    shown = document["targets"][0]
    (folder / "verdict.json").write_text(json.dumps(document, indent=1) + "\n")
    (folder / "summary.txt").write_text(report.summary(shown))
    (folder / "junit.xml").write_text(report.junit(shown))


def page_of(document: Mapping[str, Any], folder: Path) -> str:
    """report.html; without plots and rates where there is no history."""
    run_record = record.load(folder)
    top = folder.resolve().parent.parent
    try:
        runs = history.runs(top, run_record.target, PLOTTED)
        failed = history.past(top, target=glob.escape(run_record.target), failed=True)
    except history.Unusable:
        runs, failed = [], []
    past = {each.name: each for each in failed}
    started = history.started(run_record, folder)
    return page.page(document, started, run_record.filtered, past, runs)


def kcidb_of(document: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return exports.kcidb(document, history.started(record.load(folder), folder))


def export(document: Mapping[str, Any], folder: Path) -> str:
    """report.html and kcidb.json: whole, or not there and a sentence why."""
    files = {
        "report.html": page_of(document, folder),
        "kcidb.json": json.dumps(kcidb_of(document, folder), indent=1) + "\n",
    }
    for name, text in files.items():
        half = folder / f"{name}.half"
        try:
            half.write_text(text)
            half.replace(folder / name)
        except OSError as error:
            return f"no {folder / name}: {error.strerror}"
    return ""


def exit_status(verdict: str) -> int:
    return {"pass": 0, "fail": 1}.get(verdict, 2)
