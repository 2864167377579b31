#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""memsafe: does this kernel still keep its memory promises?

Builds a sanitizer kernel, boots it in QEMU, runs KUnit suites and selftests,
reads the console for reports and gives one verdict.
"""

from __future__ import annotations

import argparse
import errno
import signal
import sys
from pathlib import Path

import packages
from errors import MemsafeError, UsageError

PROJECT = Path(__file__).resolve().parent.parent
STATUS = """\
exit status:
  0    as expected
  1    a test, a report or a stale expectation says no
  2    no verdict: build, boot or infrastructure failed, something did not run
  64   usage
  130  interrupted
"""


EXEC_HELP = {
    "image": "what QEMU boots: vmlinux or bzImage",
    "modules": "folder with memsafe_dev.ko and memsafe_*_kunit.ko for it",
    "config": "its .config",
}


class Parser(argparse.ArgumentParser):
    """argparse ends with 2 on a bad command line; ours is 64."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(f"{message}\ntry: {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    top = Parser(
        prog="memsafe.py",
        description=__doc__,
        epilog=STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="build, boot, run all tests, judge")
    _building(run)
    _running(run)
    build = commands.add_parser("build", help="build only; prints what exec takes")
    _building(build)
    execute = commands.add_parser("exec", help="boot and judge a kernel that is built")
    _target(execute)
    for name in ("image", "modules", "config"):
        execute.add_argument(f"--{name}", type=Path, required=True, help=EXEC_HELP[name])
    _running(execute)
    noop = commands.add_parser("noop", help="system calls do nothing: every test must notice")
    _building(noop)
    _running(noop)
    noop.add_argument("--returns", default="success", metavar="success|ERRNO",
                      help="what the system call returns; default: %(default)s")  # fmt: skip
    bench = commands.add_parser("bench", help="measure boot, restore, tests and overhead")
    _building(bench)
    bench.add_argument("--rounds", type=int, default=3, help="of each; default: %(default)s")
    judging = commands.add_parser("judge", help="judge a saved run again")
    judging.add_argument("folder", type=Path, help="results/<run> or results/<run>/<target>")
    _judging(judging)
    parse = commands.add_parser("parse", help="cases and reports of any log")
    parse.add_argument("file", help="a file, or - for standard input")
    parse.add_argument("--json", action="store_true", help="objects as in verdict.json")
    listing = commands.add_parser("list", help="list suites, programs and their cases")
    listing.add_argument("filter", nargs="?", help="glob on a suite's or program's name")
    setup = commands.add_parser("setup", help="install the packages; run and build do it too")
    setup.add_argument("what", nargs="?", choices=["run", "test"], default="run")
    over = commands.add_parser("overlay", help="a kernel tree with the suites built in")
    over.add_argument("tree", type=Path, metavar="KERNEL_TREE")
    over.add_argument("--output", type=Path, required=True, metavar="DIR")
    cache = commands.add_parser("cache", help="show or prune the cache")
    cache.add_argument("action", nargs="?", choices=["show", "prune"], default="show")
    cache.add_argument("--gib", type=float, help="prune down to this size; default: the cap")
    return top


def _target(command: argparse.ArgumentParser) -> None:
    command.add_argument("--target", default="x86_64-kasan", help="default: %(default)s")
    command.add_argument("--dry_run", action="store_true", help="print every command, run none")


def _building(command: argparse.ArgumentParser) -> None:
    _target(command)
    command.add_argument("--kernel", type=Path, help="a kernel tree instead of Debian's source")
    command.add_argument("--kconfig_add", action="append", default=[], metavar="CONFIG_X=y",
                         help="one more option")  # fmt: skip
    command.add_argument("--jobs", type=int, default=0, help="of make; default: all cores")


def _running(command: argparse.ArgumentParser) -> None:
    command.add_argument("filter", nargs="?", help="glob on a suite's or program's name")
    command.add_argument("--results", type=Path, default=PROJECT / "results",
                         help="folder for results; default: results/")  # fmt: skip
    command.add_argument("--timeout", type=int, default=0, metavar="S",
                         help="of one suite or program, in seconds of a fast guest")  # fmt: skip
    command.add_argument("--tests", type=Path, metavar="DIR",
                         help="suites and programs instead of kunit/ and selftests/")  # fmt: skip
    command.add_argument("--env", action="append", default=[], metavar="VAR=VALUE",
                         help="environment of the programs")  # fmt: skip
    command.add_argument("--no_leaks", action="store_true", help="no kmemleak scans")
    _judging(command)


def _judging(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print verdict.json's object")
    command.add_argument("--expect", type=Path, help="a file of expectations of your own")


def _underscores(argv: list[str]) -> list[str]:
    """Accept --kconfig-add for --kconfig_add, as kunit.py's users would write."""
    words = []
    for word in argv:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            word = "--" + name[2:].replace("-", "_") + equals + value
        words.append(word)
    return words


def main(argv: list[str]) -> int:
    options = parser().parse_args(_underscores(argv))
    if not getattr(options, "dry_run", False):
        packages.ensure(packages.listed(PROJECT / "configs/packages.txt"))
    if options.command == "setup":
        if options.what == "test":
            packages.ensure(packages.listed(PROJECT / "configs/packages-test.txt"))
        return 0
    import commands  # what it imports may have been installed just now

    return commands.dispatch(options, argv)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("memsafe: interrupted", file=sys.stderr)
        sys.exit(130)
    except MemsafeError as error:
        print(f"memsafe: {error}", file=sys.stderr)
        sys.exit(error.status)
    except BrokenPipeError:
        sys.exit(2)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "the disk is full" if full else error.strerror or str(error)
        print(f"memsafe: {what}: {error.filename or ''}", file=sys.stderr)
        sys.exit(2)
