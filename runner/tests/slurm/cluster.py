# SPDX-License-Identifier: GPL-2.0
"""Slurm on this host, without systemd: two nodes of one core, a folder for all that
they write, and no process left at the end."""

import ctypes
import os
import pwd
import secrets
import signal
import socket
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import proc
from another import wait_until

NODES = ("one", "two")
UP_S, END_S = 60, 60
# prctl(2)
PR_SET_CHILD_SUBREAPER = 36

# Without accounting and cgroups.  A node is given up when it was silent for 10 s; its
# task waits cred_expire before it begins again.
CONFIG = """\
ClusterName=memsafe
SlurmctldHost=localhost
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SlurmdTimeout=10
KillWait=5
NodeName=one NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1
NodeName=two NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1
PartitionName=all Nodes=one,two Default=YES State=UP MaxTime=INFINITE
"""


@dataclass(frozen=True)
class Cluster:
    """`env` is what Slurm's commands need; `nodes` are the daemons of those that live."""

    folder: Path
    env: dict[str, str]
    nodes: dict[str, ExitStack]

    def ask(self, *words):
        """What one of Slurm's commands prints."""
        done = subprocess.run(
            words, env={**os.environ, **self.env}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def tasks(self):
        """(job, task, state, node) of all that have not ended."""
        rows = self.ask("squeue", "--noheader", "--array", "--format=%F|%K|%T|%N").splitlines()
        return [tuple(row.strip().split("|")) for row in rows]

    def start(self, node):
        held = self.nodes[node] = ExitStack()
        log = held.enter_context((self.folder / f"{node}.log").open("ab"))
        held.enter_context(proc.spawn(["slurmd", "-D", "-N", node], env=self.env, stdout=log))

    def wait_until_idle(self):
        words = ("sinfo", "--noheader", "--Node", "--format=%t")

        def idle():
            asked = subprocess.run(
                words, env={**os.environ, **self.env}, capture_output=True, text=True, timeout=60
            )
            return asked.stdout.split() == ["idle"] * len(NODES)

        wait_until(idle, UP_S)

    def kill(self, node):
        """As a power cut would: its tasks first, then what could tell of their end."""
        script = f"{self.folder}/{node}/job".encode()
        sessions = {session(pid) for pid in descendants() if script in cmdline(pid)}
        for pid in descendants():
            if session(pid) in sessions:
                kill(pid)
        with self.nodes.pop(node):
            pass


@contextmanager
def cluster():
    """It is up; at the end nothing of it is."""
    # Steps leave their node's daemon: they become ours.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory(prefix="memsafe-slurm-") as name, ExitStack() as held:
        folder = Path(name)
        held.callback(end_all, descendants())
        prepare(folder)
        env = {"SLURM_CONF": str(folder / "slurm.conf")}
        log = held.enter_context((folder / "daemons.log").open("ab"))
        for argv in (munged(folder), ["slurmctld", "-D"]):
            held.enter_context(proc.spawn(argv, env=env, stdout=log))
        made = Cluster(folder, env, {})
        held.callback(lambda: [node.close() for node in made.nodes.values()])
        wait_until((folder / "munge.sock").exists, UP_S)
        for node in NODES:
            made.start(node)
        made.wait_until_idle()
        yield made


def prepare(folder):
    # munged wants a socket that all can reach.
    folder.chmod(0o755)
    for name in ("state", *NODES):
        (folder / name).mkdir()
    (folder / "munge.key").touch(0o600)
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    user = pwd.getpwuid(os.getuid()).pw_name
    text = CONFIG.format(folder=folder, user=user, ports=free_ports(1 + len(NODES)))
    (folder / "slurm.conf").write_text(text)


def munged(folder):
    words = {"key-file": "key", "socket": "sock", "pid-file": "pid", "seed-file": "seed"}
    return ["munged", "--foreground", *(f"--{word}={folder}/munge.{end}" for word, end in words.items())]


def free_ports(count):
    with ExitStack() as held:
        found = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]


def descendants():
    """Everything that we, or who we started, have started, without zombies."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            state, parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            parents[int(name)] = int(parent)
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


def cmdline(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def session(pid):
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def end_all(before):
    """Kill what has come since; what dies with its parent may take its time."""

    def gone():
        left = descendants() - before
        for pid in left:
            kill(pid)
        return not left

    wait_until(gone, END_S)
