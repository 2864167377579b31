# SPDX-License-Identifier: GPL-2.0
"""results/history.db: how every case ended in every run, and how long it took.

An index of the run folders beside it, never more: they are the truth, and
rebuild() reads them again.  So a database that is damaged, newer than this memsafe
or can't be written costs a sentence, not a run and not a verdict.

A rollback journal and one transaction a run: writers wait for each other, and a
run that was killed half way is not there.  (WAL would need shared memory, which
a results folder on a network file system has none of.)
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import record
from errors import NoVerdict

VERSION = 1
NAME = "history.db"
WAIT_S = 60.0
SCHEMA = """
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE runs (
  id INTEGER PRIMARY KEY, folder TEXT NOT NULL UNIQUE, started TEXT NOT NULL,
  project TEXT NOT NULL, dirty INTEGER NOT NULL, target TEXT NOT NULL,
  kernel TEXT NOT NULL, config_hash TEXT NOT NULL, accel TEXT NOT NULL,
  verdict TEXT NOT NULL, seconds REAL NOT NULL);
CREATE TABLE cases (
  name INTEGER NOT NULL REFERENCES names, run INTEGER NOT NULL REFERENCES runs,
  status TEXT NOT NULL, known INTEGER NOT NULL, seconds REAL,
  PRIMARY KEY (name, run)) WITHOUT ROWID;
CREATE TABLE reports (
  run INTEGER NOT NULL REFERENCES runs, signature INTEGER NOT NULL REFERENCES names,
  name INTEGER NOT NULL REFERENCES names, state TEXT NOT NULL, number INTEGER NOT NULL,
  PRIMARY KEY (run, signature, name, state)) WITHOUT ROWID;
CREATE INDEX cases_of_run ON cases (run);
CREATE INDEX runs_by_start ON runs (target, started);
"""
# A case that is listed twice ended as its worst.
ORDER = ("error", "fail", "miss", "skip", "pass")


class Unusable(NoVerdict):
    """The database can't be read or written; the sentence says why."""


@dataclass(frozen=True)
class Past:
    """A case over all its runs.  Skipped and missing are no runs; `last_failure` is
    when the last run began in which it failed, "" when it never did."""

    name: str
    runs: int
    failures: int
    last_failure: str
    median: float | None
    longest: float | None

    @property
    def rate(self) -> float:
        return self.failures / self.runs if self.runs else 0.0


def add(folder: Path) -> str:
    """Enter a target's folder, results/<run>/<target>, once however often it is
    called.  "" or a sentence that says why it is not in the history."""
    results = folder.parent.parent
    try:
        with _locked(results, fcntl.LOCK_SH), _opened(results / NAME) as database:
            _enter(database, folder)
    except NoVerdict as problem:
        return str(problem)
    except OSError as error:
        return f"{results / NAME}: {error.strerror}"
    return ""


def rebuild(results: Path) -> tuple[int, list[str]]:
    """A new database from all saved runs: how many there are, and a sentence for
    each that can't be read.  The one before becomes history.db.old."""
    if not results.is_dir():
        raise NoVerdict(f"{results} is no folder of results")
    path, half, problems, count = results / NAME, results / f"{NAME}.half", [], 0
    try:
        with _locked(results, fcntl.LOCK_EX):
            for left in (half, results / f"{NAME}.half-journal"):
                left.unlink(missing_ok=True)
            with _opened(half) as database:
                for verdict in sorted(results.glob("[0-9]*/*/verdict.json")):
                    try:
                        # A gate's and a mutant's folders are not named after a target.
                        if record.load(verdict.parent).target == verdict.parent.name:
                            _enter(database, verdict.parent)
                            count += 1
                    except NoVerdict as error:
                        problems.append(str(error))
            for end in ("-journal", ""):
                if (results / f"{NAME}{end}").exists():
                    (results / f"{NAME}{end}").replace(results / f"{NAME}.old{end}")
            half.replace(path)
    except OSError as error:
        raise NoVerdict(f"{path}: {error.strerror}") from None
    return count, problems


def past(
    results: Path, pattern: str = "*", target: str = "*", failed: bool = False
) -> list[Past]:
    """Every case that a glob names, over all runs of the targets that one names;
    with `failed` those only that have failed in one of them."""
    only = (
        " AND cases.name IN (SELECT cases.name FROM cases JOIN runs ON runs.id = cases.run"
        " WHERE cases.status IN ('fail', 'error') AND runs.target GLOB ?)"
    )
    with _opened(results / NAME, write=False) as database:
        rows = database.execute(
            "SELECT names.name, cases.status, cases.seconds, runs.started FROM cases"
            " JOIN names ON names.id = cases.name JOIN runs ON runs.id = cases.run"
            " WHERE names.name GLOB ? AND runs.target GLOB ?"
            " AND cases.status IN ('pass', 'fail', 'error')"
            + (only if failed else "")
            + " ORDER BY names.name, runs.started",
            (pattern, target, target) if failed else (pattern, target),
        ).fetchall()
    grouped: dict[str, list[tuple[str, float | None, str]]] = {}
    for name, status, seconds, started in rows:
        grouped.setdefault(name, []).append((status, seconds, started))
    return [_past(name, runs) for name, runs in grouped.items()]


def runs(results: Path, target: str, count: int) -> list[dict[str, Any]]:
    """The newest `count` runs of a target, the oldest of them first."""
    keys = ("started", "verdict", "seconds", "bad")
    with _opened(results / NAME, write=False) as database:
        rows = database.execute(
            "SELECT started, verdict, seconds, (SELECT count(*) FROM cases WHERE run = runs.id"
            " AND status IN ('fail', 'error') AND NOT known) FROM runs WHERE target = ?"
            " ORDER BY started DESC, id DESC LIMIT ?",
            (target, count),
        ).fetchall()
    return [dict(zip(keys, row)) for row in reversed(rows)]


def _past(name: str, found: list[tuple[str, float | None, str]]) -> Past:
    failures = [started for status, _, started in found if status != "pass"]
    seconds = [each for _, each, _ in found if each is not None]
    return Past(
        name, len(found), len(failures), failures[-1] if failures else "",
        statistics.median(seconds) if seconds else None, max(seconds, default=None),
    )  # fmt: skip


def table(found: list[Past]) -> list[str]:
    """For people: what failed most often first, then by name."""
    lines = [" runs  fails   rate  last failure          median    max s  case"]
    for each in sorted(found, key=lambda one: (-one.rate, one.name)):
        times = "".join(f"{'-' if part is None else f'{part:.3f}':>9}" for part in (each.median, each.longest))
        lines.append(
            f"{each.runs:5} {each.failures:6} {each.rate:6.1%}  {each.last_failure or '-':20}{times}  {each.name}"
        )
    return lines


@contextmanager
def _locked(results: Path, mode: int) -> Iterator[None]:
    """Shared to write, alone to replace the whole file."""
    with (results / ".history.lock").open("a") as lock:
        fcntl.flock(lock, mode)
        yield


@contextmanager
def _opened(path: Path, write: bool = True) -> Iterator[sqlite3.Connection]:
    """The database within one transaction, made where there is none.  Reading opens
    it to write, too: what a killed writer left half done is undone by who comes next."""
    if not write and not path.exists():
        raise Unusable(f"{path}: there is no history yet")
    try:
        uri = f"{path.resolve().as_uri()}?mode={'rwc' if write else 'rw'}"
        database = sqlite3.connect(uri, timeout=WAIT_S, isolation_level=None, uri=True)
    except sqlite3.Error as error:
        raise Unusable(f"{path}: {error}") from None
    try:
        database.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        _check_version(database, path, write)
        yield database
        database.execute("COMMIT")
    except sqlite3.Error as error:
        # `rebuild` helps where the file is damaged; not where there is no room.
        damaged = type(error) is sqlite3.DatabaseError
        hint = "; `memsafe.py history rebuild` reads the saved runs again" if damaged else ""
        raise Unusable(f"{path}: {error}{hint}") from None
    finally:
        database.close()


def _check_version(database: sqlite3.Connection, path: Path, write: bool) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise Unusable(f"{path} is of a newer memsafe: version {version}, this one knows {VERSION}")
    if version == 0 and not write:
        raise Unusable(f"{path} is no history of memsafe")
    if version == 0:
        for statement in SCHEMA.split(";"):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {VERSION}")


@dataclass(frozen=True)
class _Rows:
    """A run as the tables take it, read before anything of it is written."""

    run: tuple[str | int | float, ...]
    cases: dict[str, tuple[str, bool, float | None]]
    reports: list[tuple[str, str, str]]


def _enter(database: sqlite3.Connection, folder: Path) -> None:
    rows = _rows(folder)
    for (old,) in database.execute("SELECT id FROM runs WHERE folder = ?", rows.run[:1]).fetchall():
        for table, key in (("cases", "run"), ("reports", "run"), ("runs", "id")):
            database.execute(f"DELETE FROM {table} WHERE {key} = ?", (old,))
    marks = ", ".join("?" * len(rows.run))
    number = database.execute(f"INSERT INTO runs VALUES (NULL, {marks})", rows.run).lastrowid
    names = {*rows.cases, *(name for report in rows.reports for name in report[:2])}
    database.executemany("INSERT OR IGNORE INTO names (name) VALUES (?)", [(name,) for name in names])
    ids: dict[str, int] = dict(database.execute("SELECT name, id FROM names").fetchall())
    database.executemany(
        "INSERT INTO cases VALUES (?, ?, ?, ?, ?)",
        [(ids[name], number, *case) for name, case in rows.cases.items()],
    )
    database.executemany(
        "INSERT INTO reports VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET number = number + 1",
        [(number, ids[signature], ids[case], state) for signature, case, state in rows.reports],
    )


def _rows(folder: Path) -> _Rows:
    """What run.json and verdict.json say; NoVerdict where they are not of ours."""
    begin = started(record.load(folder), folder)
    path = folder / "verdict.json"
    try:
        document = json.loads(path.read_text())
        (shown,) = document["targets"]
        run = (
            f"{folder.parent.name}/{folder.name}",
            begin,
            str(document["commit"]), bool(document["dirty"]), str(shown["target"]),
            str(shown["kernel_release"] or shown["kernel"]), str(shown["config_hash"]),
            str(shown["accel"]), str(shown["verdict"]), float(shown["seconds"]["total"]),
        )  # fmt: skip
        cases = {}
        for case in sorted(shown["cases"], key=lambda case: -ORDER.index(case["status"])):
            seconds = case["seconds"]
            took = None if seconds is None else float(seconds)
            cases[str(case["name"])] = (str(case["status"]), "known" in case, took)
        reports = [
            (str(report["signature"]), str(report["case"]), str(report["state"]))
            for report in shown["reports"]
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise NoVerdict(f"{path} is no verdict of this version: {error}") from None
    return _Rows(run, cases, reports)


def started(run: record.Run, folder: Path) -> str:
    """When a run began; of one that does not say, when it was written."""
    return run.facts.get("started") or _time((folder / "run.json").stat().st_mtime)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def now() -> str:
    return _time(datetime.now(timezone.utc).timestamp())
