# SPDX-License-Identifier: GPL-2.0
"""The commands of memsafe.py with their words, and what their exit statuses mean."""

from __future__ import annotations

import argparse
import secrets
from pathlib import Path

import arguments
import expect
from errors import UsageError

DESCRIPTION = """\
memsafe: does this kernel still keep its memory promises?

Builds a sanitizer kernel, boots it in QEMU, runs KUnit suites and selftests,
reads the console for reports and gives one verdict.
"""
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
ISOLATE_STATUS = """\
exit status:
  0    found: the fewest tests that upset it are named
  1    it is bad alone as well
  2    no verdict: it is good behind all that came before it, or was not run
"""
GATE_STATUS = """\
exit status:
  0    nothing new
  1    a regression: something is bad on patched and not on base
  2    no verdict: a side does not apply, build, boot or run, it is not certain, or
       nothing ran any of the functions that the patch changes (UNREACHED)
"""
DRIVE_STATUS = """\
A word of --contract is an entry of the contract, such as past_end=EINVAL, write=EPERM,
private=any or move=0, or a flag, such as not_zeroed (selftests/drivers/node.c).

exit status:
  0    the driver keeps every promise of its contract
  1    it breaks one, or the kernel reports something
  2    no verdict: it does not build or load, its node is not there
"""
SUBMIT_STATUS = """\
All nodes must see the project, the present folder and the results under the same names.
A task whose node dies begins again.  An interrupt cancels the job.

exit status: that of COMMAND for all shards together, and
  2    no verdict: a shard is missing, or there is no Slurm
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
        description=DESCRIPTION,
        epilog=STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="build, boot, run all tests, judge")
    arguments.building(run)
    _running(run)
    arguments.sharing(run)
    run.add_argument("--bisect", metavar="CASE|REPORT",
                     help="a glob: end as `git bisect run` wants it, 125 when there is no answer")  # fmt: skip
    build = commands.add_parser("build", help="build only; prints what exec takes")
    arguments.building(build)
    execute = commands.add_parser("exec", help="boot and judge a kernel that is built")
    arguments.target(execute)
    for name in ("image", "modules", "config"):
        execute.add_argument(f"--{name}", type=Path, required=True, help=EXEC_HELP[name])
    _running(execute)
    arguments.sharing(execute)
    noop = commands.add_parser("noop", help="system calls do nothing: every test must notice")
    arguments.building(noop)
    _running(noop)
    noop.add_argument("--returns", type=arguments.returns, default="success,ENOMEM,EINVAL,EPERM,EAGAIN",
                      metavar="VALUE,...", help="what system calls return: success or an errno; default: %(default)s")  # fmt: skip
    isolate = commands.add_parser(
        "isolate", help="which test upsets a case that is good alone?",
        epilog=ISOLATE_STATUS, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    _isolating(isolate)
    durable = commands.add_parser("durability", help="cut the power after msync(): is the data there?")
    _durable(durable)
    mutate = commands.add_parser(
        "mutate", help="kernels with one bug each: the tests must notice",
        epilog=MUTATE_STATUS, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    _mutating(mutate)
    gate = commands.add_parser(
        "gate", help="base against patched: is there a regression?",
        epilog=GATE_STATUS, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    _gating(gate)
    drive = commands.add_parser(
        "drive", help="does a driver's mmap keep its promises?",
        epilog=DRIVE_STATUS, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    _driving(drive)
    bench = commands.add_parser("bench", help="measure boot, restore, tests and overhead")
    arguments.building(bench)
    bench.add_argument("--rounds", type=arguments.count, default=3, help="of each; default: %(default)s")
    judging = commands.add_parser("judge", help="judge a saved run again")
    judging.add_argument("folder", type=Path, help="results/<run> or results/<run>/<target>")
    arguments.judging(judging)
    merging = commands.add_parser("merge", help="the shards of a run, or of a campaign of mutants, as one")
    merging.add_argument("folders", nargs="+", type=Path, metavar="RUN_DIR",
                         help="results/<run> of each I of `--shard I/N`")  # fmt: skip
    arguments.results(merging)
    arguments.judging(merging)
    submitting = commands.add_parser(
        "submit", help="a run, or a campaign of mutants, as an array job of Slurm",
        epilog=SUBMIT_STATUS, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    arguments.submitting(submitting)
    expecting = commands.add_parser(
        "expect", help="what a saved run has undeclared, as expectations to be reviewed",
        description=expect.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    expecting.add_argument("--from", dest="folder", type=Path, required=True, metavar="RUN_DIR",
                           help="results/<run> or results/<run>/<target>")  # fmt: skip
    expecting.add_argument("--expect", type=Path, help="a file with what is declared already")
    past = commands.add_parser(
        "history", help="flake rates and times of cases over all runs",
        epilog="`history rebuild` makes results/history.db anew from the saved runs.",
    )  # fmt: skip
    past.add_argument("filter", nargs="?", metavar="CASE_GLOB",
                      help="default: all cases that have failed")  # fmt: skip
    past.add_argument("--target", default="*", metavar="GLOB", help="default: all")
    arguments.results(past)
    reporting = commands.add_parser(
        "report", help="a saved run as a page, for a mail or for another system",
        epilog="The exit status is 0 once the report is printed, whatever it says.",
    )  # fmt: skip
    reporting.add_argument("folder", type=Path, help="results/<run> or results/<run>/<target>")
    reporting.add_argument("--format", choices=["html", "kcidb", "patchwork", "b4", "mail"],
                           default="html", help="default: %(default)s")  # fmt: skip
    reporting.add_argument("--url", default="", help="where the whole report will be found")
    reporting.add_argument("--expect", type=Path, help="a file of expectations of your own")
    parse = commands.add_parser("parse", help="cases and reports of any log")
    parse.add_argument("file", help="a file, or - for standard input")
    parse.add_argument("--json", action="store_true", help="objects as in verdict.json")
    listing = commands.add_parser("list", help="list suites, programs and their cases")
    listing.add_argument("filter", nargs="?", metavar="GLOB[,GLOB]",
                         help="on a suite's or program's name")
    setup = commands.add_parser("setup", help="install the packages; run and build do it too")
    setup.add_argument("what", nargs="?", choices=["run", "test", "slurm"], default="run")
    over = commands.add_parser("overlay", help="a kernel tree with the suites built in")
    over.add_argument("tree", type=Path, metavar="KERNEL_TREE")
    over.add_argument("--output", type=Path, required=True, metavar="DIR")
    cache = commands.add_parser("cache", help="show or prune the cache")
    cache.add_argument("action", nargs="?", choices=["show", "prune"], default="show")
    cache.add_argument("--gib", type=arguments.gib, help="prune down to this size; default: the cap")
    return top


def _isolating(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path, metavar="RUN_DIR", help="results/<run> in which it is bad")
    command.add_argument("case", metavar="CASE", help="a glob on the name of one")
    arguments.compiling(command)
    arguments.collecting(command)


def _durable(command: argparse.ArgumentParser) -> None:
    arguments.target_name(command)
    arguments.compiling(command)
    arguments.results(command)
    command.add_argument("--rounds", type=arguments.count, default=10, help="power cuts; default: %(default)s")
    command.add_argument("--seed", type=int, default=secrets.randbits(32),
                         help="of their moments; default: another one each time")  # fmt: skip
    command.add_argument("--mount", default="", metavar="OPTIONS", type=arguments.mount_options,
                         help="of the ext4; nobarrier loses records")  # fmt: skip
    command.add_argument("--env", action="append", default=[], type=arguments.variable,
                         metavar="VAR=VALUE", help="environment of the program")  # fmt: skip


def _running(command: argparse.ArgumentParser) -> None:
    command.add_argument("filter", nargs="?", metavar="GLOB[,GLOB]",
                         help="on a suite's or program's name")
    arguments.collecting(command)
    arguments.judging(command)


def _mutating(command: argparse.ArgumentParser) -> None:
    command.add_argument("patches", nargs="+", type=Path, metavar="PATCH_OR_DIR",
                         help="a patch of the kernel or of module/, or a folder of *.patch")  # fmt: skip
    command.add_argument("--only", dest="filter", metavar="GLOB[,GLOB]",
                         help="on a suite's or program's name: run no others")  # fmt: skip
    command.add_argument("--resume", type=Path, metavar="DIR",
                         help="results/<run> of a call that was interrupted: go on there")  # fmt: skip
    command.add_argument("--full", action="store_true",
                         help="run all tests of each mutant; default: up to the first that fails")  # fmt: skip
    command.add_argument("--apart", action="store_true",
                         help="a kernel for each mutant; default: one with all of them asleep")  # fmt: skip
    arguments.target_name(command)
    arguments.compiling(command, "of make, and mutants side by side")
    arguments.collecting(command)
    arguments.sharing(command)
    command.add_argument("--expect", type=Path, help="a file of expectations of your own")


def _gating(command: argparse.ArgumentParser) -> None:
    command.add_argument("runs", nargs="*", type=Path, metavar="RUN_DIR",
                         help="two saved runs, base and patched, instead of a tree")  # fmt: skip
    command.add_argument("--tree", type=Path, metavar="DIR",
                         help="a git tree of the kernel; default: the present folder")  # fmt: skip
    command.add_argument("--base_tree", type=Path, metavar="DIR",
                         help="a kernel tree as it is, with or without git, instead of --base")  # fmt: skip
    command.add_argument("--patched_tree", type=Path, metavar="DIR", help="the one to judge against it")
    command.add_argument("--base", metavar="REV", help="what the patch is judged against")
    command.add_argument("--patched", metavar="REV", help="the revision to judge; default: HEAD")
    command.add_argument("--patch", action="append", default=[], metavar="FILE",
                         help="a patch or mailbox on top of the base, - for standard input")  # fmt: skip
    command.add_argument("--each", action="store_true", help="judge a series patch by patch")
    command.add_argument("--affected", action="store_true",
                         help="only tests that earlier gates saw run what is changed")  # fmt: skip
    command.add_argument("--resume", type=Path, metavar="DIR",
                         help="results/<run> of the same call, which was interrupted: go on there")  # fmt: skip
    command.add_argument("--alpha", type=arguments.fraction, default=0.01,
                         help="chance of any false alarm; default: %(default)s")  # fmt: skip
    command.add_argument("--budget", type=arguments.count, default=600, metavar="S",
                         help="for running again what looks new; default: %(default)s")  # fmt: skip
    command.add_argument("--no_sandbox", action="store_true",
                         help="let the build of a patch reach network and files")  # fmt: skip
    command.add_argument("--only", dest="filter", metavar="GLOB[,GLOB]",
                         help="on a suite's or program's name: run no others")  # fmt: skip
    arguments.target_name(command)
    command.add_argument("--kconfig_add", action="append", default=[], type=arguments.kconfig_option,
                         metavar="CONFIG_X=y", help="one more option")  # fmt: skip
    command.add_argument("--jobs", type=arguments.count, default=0, help="of make; default: all cores")
    arguments.collecting(command)
    arguments.judging(command)


def _driving(command: argparse.ArgumentParser) -> None:
    command.add_argument("--node", default="", metavar="/dev/X", help="a node to map")
    command.add_argument("--size", default="", metavar="N", help="its bytes, or with K or M behind")
    command.add_argument("--offset", default="", metavar="N", help="of its first byte")
    command.add_argument("--read_only", action="store_true", help="open it for reading only")
    command.add_argument("--contract", action="append", default=[], metavar="WORD[,WORD...]",
                         help="what it promises")  # fmt: skip
    command.add_argument("--adapter", type=Path, metavar="FILE.c",
                         help="how to open the driver and what it promises, instead of --node")  # fmt: skip
    command.add_argument("--module", type=Path, metavar="FILE.ko|DIR",
                         help="a module to load before, or the folder of its sources")  # fmt: skip
    command.add_argument("--parameters", default="", metavar="TEXT", help="of the module")
    command.add_argument("--guest", default="", metavar="KIND",
                         help="another guest than the main one, such as pc for PCI")  # fmt: skip
    command.add_argument("--on_this_host", action="store_true",
                         help="the driver of the running system; may crash it")  # fmt: skip
    command.add_argument("--no_sandbox", action="store_true",
                         help="let the build of a driver reach network and files")  # fmt: skip
    command.add_argument("--only", dest="filter", metavar="GLOB",
                         help="on the battery's programs: run no others")  # fmt: skip
    arguments.target_name(command)
    arguments.compiling(command)
    arguments.collecting(command)
    arguments.judging(command)
