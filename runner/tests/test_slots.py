# SPDX-License-Identifier: GPL-2.0
"""The host's cores: guests never have more vCPUs together than there are cores."""

import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

import slots
from another import Another, wait_until
from errors import Stopped

TOTAL = 3
WAITING = "waiting for cores: another run's guest has them"
# Takes cores, says so, and gives them back when told to.
GUEST = f"""
import slots, tempfile, threading
tempfile.tempdir = args[0]
with slots.cores(int(args[1]), {TOTAL}, say, threading.Event()):
    say("has " + args[1])
    wait()
"""
# Takes and gives back cores in turn; the log's order is that of the events.
MANY = f"""
import os, random, slots, tempfile, threading
tempfile.tempdir, seed, log = args[0], int(args[1]), os.open(args[2], os.O_WRONLY | os.O_APPEND)
chance = random.Random(seed)
for _ in range(10):
    wanted = chance.randrange(1, {TOTAL} + 2)
    with slots.cores(wanted, {TOTAL}, lambda text: None, threading.Event()):
        os.write(log, b"%d\\n" % min(wanted, {TOTAL}))
        os.sched_yield()
        os.write(log, b"%d\\n" % -min(wanted, {TOTAL}))
say("done")
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A host of its own: the locks are in the temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def guest(place, wanted):
    return Another(GUEST, place, wanted)


def test_guests_share_the_cores_while_they_suffice(place):
    # One after the other: while the first still takes its own, the second waits.
    with guest(place, 2) as first:
        assert first.line() == "has 2"
        with guest(place, 1) as second:
            assert second.line() == "has 1"


def test_a_guest_waits_for_cores_and_says_so_once(place):
    with guest(place, 2) as first:
        assert first.line() == "has 2"
        with guest(place, 2) as second:
            assert second.line() == WAITING
            first.go_on()
            assert second.line() == "has 2"


def held_cores(place):
    """How many cores are locked just now, by anybody."""
    inodes = {str(path.stat().st_ino) for path in place.glob("memsafe-cores/core-*")}
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return sum(words[1] == "FLOCK" and words[5].split(":")[2] in inodes for words in locks)


def test_two_that_wait_never_hold_what_the_other_needs(place):
    """Cores come free one by one, and each of two guests needs all of them."""
    with ExitStack() as running:
        first = []
        for _ in range(TOTAL):
            first.append(running.enter_context(guest(place, 1)))
            assert first[-1].line() == "has 1"
        second = running.enter_context(guest(place, TOTAL))
        assert second.line() == WAITING
        third = running.enter_context(guest(place, TOTAL))
        assert third.line() == WAITING
        for other in first:
            other.go_on()
            other.child.wait()
            wait_until(lambda: held_cores(place) == TOTAL)

        assert second.line() == f"has {TOTAL}"
        second.go_on()
        assert third.line() == f"has {TOTAL}"


def test_more_than_all_is_all(place):
    with guest(place, TOTAL + 1) as first:
        assert first.line() == f"has {TOTAL + 1}"
        with guest(place, 1) as second:
            assert second.line() == WAITING


def test_who_waits_can_be_stopped(place):
    stop = threading.Event()
    with guest(place, TOTAL) as first:
        assert first.line() == f"has {TOTAL}"
        stop.set()
        with pytest.raises(Stopped):
            with slots.cores(1, TOTAL, print, stop):
                pass

    with guest(place, TOTAL) as second:
        assert second.line() == f"has {TOTAL}"


def test_a_killed_guest_gives_its_cores_back(place):
    with guest(place, TOTAL) as first:
        assert first.line() == f"has {TOTAL}"

    with guest(place, TOTAL) as second:
        assert second.line() == f"has {TOTAL}"


def test_a_failed_guest_gives_its_cores_back(place):
    with pytest.raises(ValueError):
        with slots.cores(TOTAL, TOTAL, print, threading.Event()):
            raise ValueError

    with guest(place, TOTAL) as second:
        assert second.line() == f"has {TOTAL}"


def test_many_never_have_more_than_there_are(place, tmp_path):
    log = tmp_path / "log"
    log.touch()
    others = [Another(MANY, place, seed, log) for seed in range(4)]

    ends = [other.line() for other in others]
    for other in others:
        other.__exit__()

    taken, most = 0, 0
    for line in log.read_text().splitlines():
        taken += int(line)
        most = max(most, taken)
        assert taken <= TOTAL, log.read_text()
    assert ends == ["done"] * 4
    assert (taken, most) == (0, TOTAL)


def test_the_locks_are_for_every_user_of_the_host(place):
    with slots.cores(1, TOTAL, print, threading.Event()):
        modes = {path.name: path.stat().st_mode & 0o777 for path in (place / "memsafe-cores").iterdir()}

    assert modes == {name: 0o666 for name in ("queue", "core-0", "core-1", "core-2")}
