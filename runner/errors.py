# SPDX-License-Identifier: GPL-2.0
"""The ways in which a command ends early, and their exit status."""


class MemsafeError(Exception):
    """A clear sentence for the user; `status` is the exit status."""

    status = 2


class NoVerdict(MemsafeError):
    """Build, boot or infrastructure failed: nothing is known about the kernel."""

    status = 2


class NotBuilt(NoVerdict):
    """The compiler, or another part of kbuild, refuses what it is given."""


class UsageError(MemsafeError):
    """The command line or a file of the project asks for something impossible."""

    status = 64


class Stopped(Exception):
    """Work beside other work that has failed or was interrupted: it ends as well,
    and what went wrong is said there."""
