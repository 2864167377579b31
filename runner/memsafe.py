#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""memsafe: does this kernel still keep its memory promises?

Builds a sanitizer kernel, boots it in QEMU, runs KUnit suites and selftests,
reads the console for reports and gives one verdict.
"""

from __future__ import annotations

import argparse
import errno
import math
import os
import re
import signal
import sys
import traceback
from pathlib import Path

import packages
from errors import MemsafeError, UsageError

PROJECT = Path(__file__).resolve().parent.parent
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STATUS = """\
exit status:
  0    as expected
  1    a test, a report or a stale expectation says no
  2    no verdict: build, boot or infrastructure failed, something did not run
  64   usage
  130  interrupted
"""
MUTATE_STATUS = """\
exit status:
  0    every mutant was killed, or its header says that it is equivalent
  1    a mutant survived
  2    no verdict: of a mutant nothing can be said, or the tests are red without any
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


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def _gib(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of GiB")
    return value


def _variable(text: str) -> str:
    """It travels to the guest as one word of a line."""
    if not re.fullmatch(r"[A-Za-z_]\w*=\S*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no VAR=VALUE without blanks")
    return text


def _option(text: str) -> str:
    if not re.fullmatch(r"CONFIG_\w+=.+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no CONFIG_X=value")
    return text


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
    mutate = commands.add_parser(
        "mutate", help="kernels with one bug each: the tests must notice",
        epilog=MUTATE_STATUS, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    _mutating(mutate)
    bench = commands.add_parser("bench", help="measure boot, restore, tests and overhead")
    _building(bench)
    bench.add_argument("--rounds", type=_count, default=3, help="of each; default: %(default)s")
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
    cache.add_argument("--gib", type=_gib, help="prune down to this size; default: the cap")
    return top


def _target(command: argparse.ArgumentParser) -> None:
    _target_name(command)
    command.add_argument("--dry_run", action="store_true", help="print every command, run none")


def _target_name(command: argparse.ArgumentParser) -> None:
    command.add_argument("--target", default="x86_64-kasan", help="default: %(default)s")


def _building(command: argparse.ArgumentParser) -> None:
    _target(command)
    _compiling(command)


def _compiling(command: argparse.ArgumentParser) -> None:
    command.add_argument("--kernel", type=Path, help="a kernel tree instead of Debian's source")
    command.add_argument("--kconfig_add", action="append", default=[], type=_option,
                         metavar="CONFIG_X=y", help="one more option")  # fmt: skip
    command.add_argument("--jobs", type=_count, default=0, help="of make; default: all cores")


def _running(command: argparse.ArgumentParser) -> None:
    command.add_argument("filter", nargs="?", help="glob on a suite's or program's name")
    _collecting(command)
    _judging(command)


def _collecting(command: argparse.ArgumentParser) -> None:
    command.add_argument("--results", type=Path, default=PROJECT / "results",
                         help="folder for results; default: results/")  # fmt: skip
    command.add_argument("--timeout", type=_count, default=0, metavar="S",
                         help="of one suite or program, in seconds of a fast guest")  # fmt: skip
    command.add_argument("--tests", type=Path, metavar="DIR",
                         help="suites and programs instead of kunit/ and selftests/")  # fmt: skip
    command.add_argument("--env", action="append", default=[], type=_variable,
                         metavar="VAR=VALUE", help="environment of the programs")  # fmt: skip
    command.add_argument("--no_leaks", action="store_true", help="no kmemleak scans")


def _mutating(command: argparse.ArgumentParser) -> None:
    command.add_argument("patches", nargs="+", type=Path, metavar="PATCH_OR_DIR",
                         help="a patch of the kernel or of module/, or a folder of *.patch")  # fmt: skip
    command.add_argument("--only", dest="filter", metavar="GLOB",
                         help="on a suite's or program's name: run no others")  # fmt: skip
    command.add_argument("--resume", type=Path, metavar="DIR",
                         help="results/<run> of a call that was interrupted: go on there")  # fmt: skip
    _target_name(command)
    _compiling(command)
    _collecting(command)
    command.add_argument("--expect", type=Path, help="a file of expectations of your own")


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
    """The first signal unwinds and ends every child on the way; a second one must
    not cut that short."""
    for each in SIGNALS:
        signal.signal(each, lambda number, frame: None)
    raise KeyboardInterrupt


def _say(text: str) -> None:
    """A message may quote a guest: nothing of it acts on the terminal."""
    shown = (char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}"
             for char in text)  # fmt: skip
    print(f"memsafe: {''.join(shown)}", file=sys.stderr)


def _lost(error: OSError) -> int:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = "the disk is full" if full else error.strerror or str(error)
    _say(f"{what}: {error.filename2 or error.filename or ''}")
    return 2


def guarded(argv: list[str]) -> int:
    """The exit status, whatever happens: never Python's own 1 for a traceback."""
    try:
        status = main(argv)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except MemsafeError as error:
        _say(str(error))
        return error.status
    except OSError as error:
        # What is left in the buffer can't be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2 if isinstance(error, BrokenPipeError) else _lost(error)
    except Exception:
        traceback.print_exc()
        _say("this is a bug of memsafe: no verdict")
        return 2


if __name__ == "__main__":
    for wanted in SIGNALS:
        if signal.getsignal(wanted) != signal.SIG_IGN:
            signal.signal(wanted, _interrupt)
    sys.exit(guarded(sys.argv[1:]))
