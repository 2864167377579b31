# SPDX-License-Identifier: GPL-2.0
"""Start, talk to, snapshot and end a guest.  Only this file knows QEMU."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import slots
from build import cpus as host_cpus
from cache import Cache
from errors import NoVerdict, Stopped
from frames import BadFrame, Frame, FrameReader
from proc import Commands, printable, spawn
from progress import Progress
from stop import Stop
from target import Qemu

KVM_PROBE_S = 5.0
POLL_S = 0.5
CONSOLE_LIMIT = 64 << 20
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


@dataclass(frozen=True)
class Machine:
    """What one guest boots: files, and the words added to the command line.
    `spare` is one more disk like `disk`.
    `durable` is one more disk, raw; every write and flush of it goes into `log` too
    (the kernel's dm-log-writes format), when there is one."""

    qemu: Qemu
    image: Path
    initrd: Path
    payload: Path | None
    disk: Path | None
    accel: str
    cmdline: str = ""
    spare: Path | None = None
    restore: str = ""
    durable: Path | None = None
    log: Path | None = None
    driver: Path | None = None


class GuestGone(Exception):
    """The guest ended, flooded its console or broke the protocol: `str` says how."""


class Guest:
    """A running guest: commands in, frames out.  Who waits for it is Stopped when
    `stop` is set."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        port: socket.socket,
        qmp: socket.socket,
        console: Path,
        stop: Stop,
    ) -> None:
        self._child = child
        self._stop = stop
        self._port = port
        self._qmp = qmp
        self._console = console
        self._reader = FrameReader()
        self._frames: list[Frame] = []

    def send(self, line: str) -> None:
        """One command for init.  GuestGone when nobody listens any more."""
        try:
            self._port.sendall(line.encode() + b"\n")
        except OSError:
            raise GuestGone("the guest has ended") from None

    def next_frame(self, deadline: float) -> Frame | None:
        """The next frame, None at the deadline (monotonic seconds)."""
        while not self._frames:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            if self._stop.is_set():
                raise Stopped
            ready, _, _ = select.select([self._port], [], [], min(left, POLL_S))
            if ready:
                self._receive()
            elif self.console_size() > CONSOLE_LIMIT:
                raise GuestGone("the guest flooded its console")
        return self._frames.pop(0)

    def _receive(self) -> None:
        try:
            data = self._port.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            raise GuestGone("the guest has ended")
        try:
            self._frames += self._reader.feed(data)
        except BadFrame as error:
            raise GuestGone(f"the results port is broken: {error}") from None

    def console_size(self) -> int:
        """Bytes on the console so far."""
        return self._console.stat().st_size if self._console.exists() else 0

    def wait_end(self, seconds: float) -> bool:
        """Wait for QEMU to end by itself; False when it does not."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self._stop.is_set():
                raise Stopped
            try:
                self._child.wait(min(left, POLL_S))
                return True
            except subprocess.TimeoutExpired:
                pass
        return False

    def snapshot(self, name: str) -> None:
        """Save the whole guest into its qcow2 disk; Machine.restore continues
        from there.  NoVerdict when QEMU refuses."""
        answer = self._ask("human-monitor-command", {"command-line": f"savevm {name}"})
        if answer:
            raise NoVerdict(f"QEMU can't save the guest: {answer.strip()}")

    def cut_power(self) -> None:
        """End QEMU at once: nothing of it gets a chance to write."""
        self._child.kill()
        self._child.wait()

    def _ask(self, command: str, arguments: dict[str, str]) -> str:
        with self._qmp.makefile("rw", encoding="utf-8", newline="\n") as qmp:
            for request in ({"execute": "qmp_capabilities"},
                            {"execute": command, "arguments": arguments}):
                qmp.write(json.dumps(request) + "\n")
                qmp.flush()
                answer = _answer(qmp.readline)
        if "error" in answer:
            return str(answer["error"])
        return str(answer.get("return") or "")


def _answer(readline: object) -> dict[str, object]:
    """The next QMP answer; greetings and events are passed over."""
    assert callable(readline)
    for line in iter(readline, ""):
        message = json.loads(line)
        if "return" in message or "error" in message:
            return dict(message)
    raise NoVerdict("QEMU's monitor has gone")


def version(qemu: Qemu, commands: Commands) -> str:
    """The first line that QEMU says of itself; NoVerdict when it is not there."""
    return commands.output([qemu.binary, "--version"]).splitlines()[0]


def command(machine: Machine, console: Path, port_fd: int, qmp_fd: int) -> list[str]:
    """The whole QEMU command of a guest."""
    qemu = machine.qemu
    accel = "kvm" if machine.accel == "kvm" else "tcg,thread=multi"
    argv = [
        qemu.binary, "-M", qemu.machine, "-accel", accel,
        "-cpu", "host" if machine.accel == "kvm" else qemu.cpu,
        "-smp", str(min(qemu.cpus, host_cpus())), "-m", f"{qemu.memory_mb}M",
        "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none",
        "-no-reboot", "-sandbox", SANDBOX,
        "-kernel", str(machine.image), "-initrd", str(machine.initrd),
        "-append", f"{qemu.cmdline} {machine.cmdline}".strip(),
        "-chardev", f"file,id=console,path={console},append=on", "-serial", "chardev:console",
        "-chardev", f"socket,id=results,fd={port_fd}", "-device", f"virtio-serial-{qemu.bus}",
        "-device", "virtserialport,chardev=results,name=memsafe",
        "-chardev", f"socket,id=qmp,fd={qmp_fd}", "-mon", "chardev=qmp,mode=control",
    ]  # fmt: skip
    if machine.payload:
        argv += _disk("payload", machine.payload, "raw,readonly=on", qemu.bus)
    if machine.disk:
        argv += _disk("scratch", machine.disk, "qcow2,discard=unmap", qemu.bus)
    if machine.spare:
        argv += _disk("spare", machine.spare, "qcow2,discard=unmap", qemu.bus)
    if machine.durable:
        argv += _durable(machine.durable, machine.log, qemu.bus)
    if machine.driver:
        argv += _disk("driver", machine.driver, "raw,readonly=on", qemu.bus)
    if machine.restore:
        argv += ["-loadvm", machine.restore]
    return [*argv, *qemu.args]


def commands(machine: Machine, folder: Path) -> list[list[str]]:
    """What starts a guest, for showing: the disk of its own, and QEMU."""
    disk = folder / "guest-0.qcow2"
    made = [_overlay_command(machine.disk, disk)] if machine.disk else []
    return [*made, command(replace(machine, disk=disk), folder / "console.log", 3, 4)]


def _disk(serial: str, path: Path, options: str, bus: str) -> list[str]:
    return [
        "-drive", f"if=none,id={serial},file={path},format={options}",
        "-device", f"virtio-blk-{bus},drive={serial},serial={serial}",
    ]  # fmt: skip


def _durable(path: Path, log: Path | None, bus: str) -> list[str]:
    driver = "driver=raw"
    parts = [f"file.driver=file,file.filename={path}"]
    if log:
        # The log counts its entries after each of them, not only at a flush.
        driver = "driver=blklogwrites,log-super-update-interval=1"
        parts.append(f"log.driver=file,log.filename={log}")
    return [
        "-blockdev", ",".join([driver, "node-name=durable", *parts]),
        "-device", f"virtio-blk-{bus},drive=durable,serial=durable",
    ]  # fmt: skip


@contextmanager
def boot(
    machine: Machine,
    console: Path,
    log: Path,
    commands: Commands,
    progress: Progress,
    stop: Stop | None = None,
) -> Iterator[Guest]:
    """A guest from power-on to its end; it is killed when the block is left.
    Its vCPUs are taken from the cores that all runs on the host share.  Waiting for
    them, or for the guest, is Stopped by `stop`."""
    total = host_cpus()
    stop = stop or Stop()
    with slots.cores(machine.qemu.cpus, total, progress.say, stop):
        port, port_end = socket.socketpair()
        qmp, qmp_end = socket.socketpair()
        with port, port_end, qmp, qmp_end, log.open("ab") as output:
            fds = (port_end.fileno(), qmp_end.fileno())
            argv = command(machine, console, *fds)
            output.write(f"$ {printable(argv)}\n".encode())
            output.flush()
            with spawn(argv, stdout=output, pass_fds=fds) as child:
                port_end.close()
                qmp_end.close()
                yield Guest(child, port, qmp, console, stop)


def overlay_disk(base: Path, path: Path, commands: Commands) -> Path:
    """A writable qcow2 on top of `base`, one for each guest."""
    done = commands.run(_overlay_command(base, path), timeout=60)
    if done.status:
        raise NoVerdict("\n".join(["can't make the guest's disk:", *done.tail]))
    return path


def _overlay_command(base: Path, path: Path) -> list[str]:
    backing = ["-b", str(base.resolve()), "-F", "qcow2"]
    return ["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(path)]


def accelerator(
    machine: Machine, cache: Cache, folder: Path, commands: Commands, progress: Progress
) -> str:
    """ "kvm" only when a guest has printed through it within 5 s, else "tcg";
    remembered for this host, its kernel and its QEMU."""
    host = os.uname()
    native = machine.qemu.binary == f"qemu-system-{host.machine}"
    if not native or not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    key = f"{host.nodename} {host.release} {version(machine.qemu, commands)}"
    known = cache.root / "accel.json"
    try:
        answers = dict(json.loads(known.read_text()))
    except (OSError, ValueError):
        answers = {}
    if key not in answers:
        answers[key] = _probe_kvm(machine, folder, commands, progress)
        half = known.with_suffix(".half")
        half.write_text(json.dumps(answers, indent=1))
        half.rename(known)
        if answers[key] == "tcg":
            progress.say("KVM does not run a guest here: QEMU's TCG is used, many times slower")
    return str(answers[key])


def _probe_kvm(machine: Machine, folder: Path, commands: Commands, progress: Progress) -> str:
    progress.step("try KVM")
    console = folder / "kvm-probe.log"
    probe = replace(machine, accel="kvm", payload=None, disk=None)
    with boot(probe, console, folder / "qemu.log", commands, progress) as guest:
        deadline = time.monotonic() + KVM_PROBE_S
        while time.monotonic() < deadline:
            if guest.console_size() > 0:
                return "kvm"
            if guest.wait_end(0.1):
                break
    return "tcg"
