# SPDX-License-Identifier: GPL-2.0
"""A verdict as one page, report.html: whole without a network or scripts.

A console is untrusted.  Every text is cleaned, shortened and escaped on its way into
the page, and should one get through nevertheless, the page's policy lets no script
run but ours, which it knows by its hash."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import exports
import report
from history import Past

TEMPLATES = Path(__file__).resolve().parent / "templates"
FILES = ("summary.txt", "console.log", "results.ktap", "verdict.json", "junit.xml", "kcidb.json", "build.log", "config")
LONGEST = 2000
MOST = 200
SLOWEST = 20
PLOT_PX = 80


def page(
    document: Mapping[str, Any],
    started: str,
    filtered: bool,
    past: Mapping[str, Past],
    runs: Sequence[Mapping[str, Any]],
) -> str:
    """The page of verdict.json's object with one target.  `past` has what is known
    of cases that have failed before, `runs` the last runs of the target."""
    (target,) = document["targets"]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, finalize=_shown,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    script, style = (_own(f"report.{kind}") for kind in ("js", "css"))
    cases, reports = target["cases"], target["reports"]
    shown = environment.get_template("report.html").render(
        policy=_policy(script, style),
        script=script,
        style=style,
        headline=exports.headline(document),
        target=target,
        started=started,
        most=MOST,
        unexpected=[each for each in reports if each["state"] != "EXPECTED"],
        expected=[each for each in reports if each["state"] == "EXPECTED"],
        failures=[case for case in cases if case["status"] in ("fail", "error", "miss")],
        skips=_skips(cases),
        slowest=_slowest(cases),
        past=past,
        runs=_plotted(runs),
        height=PLOT_PX,
        again=lambda name: _again(target["reproduce"], name, filtered),
        facts=_facts(document, target),
        files=FILES,
    )
    return str(shown)


def _shown(value: Any) -> Any:
    """Guest text on its way into the page; the escaping comes after."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    text = report.clean(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ... {len(text) - LONGEST} more characters"


def _own(name: str) -> Markup:
    """A file of ours that goes into the page as it is."""
    return Markup((TEMPLATES / name).read_text())


def _policy(script: str, style: str) -> str:
    allowed = {"script-src": script, "style-src": style}
    hashes = "; ".join(f"{kind} 'sha256-{_hash(text)}'" for kind, text in allowed.items())
    return f"default-src 'none'; {hashes}; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _skips(cases: Sequence[Mapping[str, Any]]) -> dict[tuple[bool, str], list[Mapping[str, Any]]]:
    """Skipped cases by reason, the undeclared first, then the most frequent."""
    found: dict[tuple[bool, str], list[Mapping[str, Any]]] = {}
    for case in cases:
        if case["status"] == "skip":
            found.setdefault(("known" in case, case["reason"]), []).append(case)
    order = sorted(found, key=lambda key: (key[0], -len(found[key])))
    return {key: found[key] for key in order}


def _slowest(cases: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    timed = [case for case in cases if case["seconds"]]
    return sorted(timed, key=lambda case: -float(case["seconds"]))[:SLOWEST]


def _plotted(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    longest = max((run["seconds"] for run in runs), default=0.0) or 1.0
    return [{**run, "height": max(2, round(PLOT_PX * run["seconds"] / longest))} for run in runs]


def _again(reproduce: str, name: str, filtered: bool) -> str:
    """The command for the suite or program of a case alone."""
    return reproduce if filtered else f"{reproduce} {shlex.quote(name.partition('.')[0])}"


def _facts(document: Mapping[str, Any], target: Mapping[str, Any]) -> dict[str, str]:
    return {
        "memsafe": document["commit"] + (" with changes" if document["dirty"] else ""),
        "compiler": document["compiler"],
        "qemu": f"{document['qemu']} ({target['accel']})",
        "kernel config": target["config_hash"],
        "kernel command line": target["cmdline"],
        "guests": str(target["guests"]),
        **{f"seconds: {part}": f"{seconds:.1f}" for part, seconds in target["seconds"].items()},
    }
