# SPDX-License-Identifier: GPL-2.0
"""Another process of the same user, which tests talk to in lines."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

DEADLINE_S = 20
RUNNER = Path(__file__).resolve().parents[1]
# Runs `source` with what it needs: say() a line, wait() for one, and `args`.
PRELUDE = """
import sys
sys.path.insert(0, sys.argv[1])
args = sys.argv[2:]
def say(text):
    print(text, flush=True)
def wait():
    sys.stdin.readline()
"""


def wait_until(is_so, seconds=DEADLINE_S):
    """Wait for a condition; a failure when it is not met until the deadline."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "the deadline has passed"
        os.sched_yield()


class Another:
    """`line` is what it says next, empty when it has ended or said nothing until
    the deadline, where it is killed."""

    def __init__(self, source, *args):
        argv = [sys.executable, "-c", PRELUDE + source, str(RUNNER), *map(str, args)]
        self.child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.deadline = threading.Timer(DEADLINE_S, self.child.kill)
        self.deadline.start()

    def line(self):
        return self.child.stdout.readline().rstrip("\n")

    def go_on(self):
        self.child.stdin.write("\n")
        self.child.stdin.flush()

    def ended(self):
        return self.child.poll() is not None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.deadline.cancel()
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()
        self.child.stdin.close()
