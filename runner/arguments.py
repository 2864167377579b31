# SPDX-License-Identifier: GPL-2.0
"""Words of the command line that several commands take, and what they may be."""

from __future__ import annotations

import argparse
import errno
import math
import re
from pathlib import Path

import noop
import shard
from target import PROJECT


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def gib(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of GiB")
    return value


def fraction(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def variable(text: str) -> str:
    """It travels to the guest as one word of a line."""
    if not re.fullmatch(r"[A-Za-z_]\w*=\S*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no VAR=VALUE without blanks")
    return text


def mount_options(text: str) -> str:
    """They travel to the guest as one word of a line."""
    if not re.fullmatch(r"[\w=,.-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} are no mount options")
    return text


def shard_part(text: str) -> shard.Part:
    try:
        return shard.part(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def returns(text: str) -> list[str]:
    """What the system calls of the no-op harness return, one after the other."""
    values = text.split(",")
    for value in values:
        if value != noop.SUCCESS and value not in errno.errorcode.values():
            raise argparse.ArgumentTypeError(f"{value!r} is neither success nor the name of an errno")
    return values


def shard_count(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of shards, 1 to 9999")
    return int(text)


def kconfig_option(text: str) -> str:
    if not re.fullmatch(r"CONFIG_\w+=.+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no CONFIG_X=value")
    return text


def target(command: argparse.ArgumentParser) -> None:
    target_name(command)
    command.add_argument("--dry_run", action="store_true", help="print every command, run none")


def target_name(command: argparse.ArgumentParser) -> None:
    command.add_argument("--target", default="x86_64-kasan", help="default: %(default)s")


def building(command: argparse.ArgumentParser) -> None:
    target(command)
    compiling(command)


def compiling(command: argparse.ArgumentParser, jobs: str = "of make") -> None:
    command.add_argument("--kernel", type=Path, help="a kernel tree instead of Debian's source")
    command.add_argument("--kconfig_add", action="append", default=[], type=kconfig_option,
                         metavar="CONFIG_X=y", help="one more option")  # fmt: skip
    command.add_argument("--jobs", type=count, default=0, help=f"{jobs}; default: all cores")


def sharing(command: argparse.ArgumentParser) -> None:
    command.add_argument("--shard", type=shard_part, metavar="I/N",
                         help="only the Ith part; `merge` makes one run of all N")  # fmt: skip


def submitting(command: argparse.ArgumentParser) -> None:
    command.add_argument("--slurm", type=shard_count, required=True, metavar="N",
                         help="shards, each a task of an array job")  # fmt: skip
    command.add_argument("--sbatch", action="append", default=[], metavar="WORD",
                         help="one more word for sbatch, such as --partition=x")  # fmt: skip
    results(command)
    command.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND ...",
                         help="run, exec or mutate with its own words")  # fmt: skip


def collecting(command: argparse.ArgumentParser) -> None:
    results(command)
    command.add_argument("--timeout", type=count, default=0, metavar="S",
                         help="of one suite or program, in seconds of a fast guest")  # fmt: skip
    command.add_argument("--tests", type=Path, metavar="DIR",
                         help="suites and programs instead of kunit/ and selftests/")  # fmt: skip
    command.add_argument("--env", action="append", default=[], type=variable,
                         metavar="VAR=VALUE", help="environment of the programs")  # fmt: skip
    command.add_argument("--kernel_args", action="append", default=[], metavar="WORDS",
                         help="for the kernel's command line")  # fmt: skip
    command.add_argument("--hammer", type=count, default=0, metavar="S",
                         help="let the program hammer go on for S seconds on each kind of memory")  # fmt: skip
    command.add_argument("--no_leaks", action="store_true", help="no kmemleak scans")
    command.add_argument(
        "--cold", action="store_true", help="boot every guest: none goes on from a snapshot"
    )


def results(command: argparse.ArgumentParser) -> None:
    command.add_argument("--results", type=Path, default=PROJECT / "results",
                         help="folder for results; default: results/")  # fmt: skip


def judging(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print verdict.json's object")
    command.add_argument("--expect", type=Path, help="a file of expectations of your own")
