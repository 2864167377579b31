# SPDX-License-Identifier: GPL-2.0
"""A results folder: results/<run>/<target>/, written by one run, judged by any."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import expect
import judge
import record
import report
from errors import NoVerdict
from expect import Expectations
from target import CONFIGS


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


def texts(folder: Path) -> dict[str, bytes]:
    names = ("console.log", "results.ktap")
    return {
        name: (folder / name).read_bytes() if (folder / name).exists() else b"" for name in names
    }


def expectations(target: str, own: Path | None) -> Expectations:
    """What configs/expect/ says of a target, or a file of the user's own."""
    path = own or CONFIGS / "expect" / f"{target}.txt"
    if own and not own.is_file():
        raise NoVerdict(f"no file of expectations: {own}")
    return expect.parse(path.read_text(errors="replace") if path.exists() else "", datetime.date.today())


def judged(folder: Path, own: Path | None = None) -> dict[str, Any]:
    """Judge what is in a target's results folder."""
    run_record = record.load(folder)
    found = texts(folder)
    expected = expectations(run_record.target, own)
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


def exit_status(verdict: str) -> int:
    return {"pass": 0, "fail": 1}.get(verdict, 2)
