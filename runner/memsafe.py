#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The command line of memsafe: what ends it, and how."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from itertools import islice

import packages
import suspect
import usage
from errors import MemsafeError
from target import PROJECT

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _underscores(argv: list[str]) -> list[str]:
    """Accept --kconfig-add for --kconfig_add, as kunit.py's users would write.  What
    follows --sbatch is for another program: it stays, though it looks like ours."""
    words = []
    left = iter(argv)
    for word in left:
        if word == "--sbatch":
            word = "=".join((word, *islice(left, 1)))
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            word = "--" + name[2:].replace("-", "_") + equals + value
        words.append(word)
    return words


def main(argv: list[str]) -> int:
    options = usage.parser().parse_args(_underscores(argv))
    if not getattr(options, "dry_run", False):
        packages.ensure(packages.listed(PROJECT / "configs/packages.txt"))
    if options.command == "setup":
        if options.what != "run":
            packages.ensure(packages.listed(PROJECT / f"configs/packages-{options.what}.txt"))
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
    ended = guarded(sys.argv[1:])
    is_bisecting = any(word.startswith("--bis") for word in sys.argv)
    sys.exit(suspect.status(ended) if is_bisecting else ended)
