# SPDX-License-Identifier: GPL-2.0
"""The kernel reports that splat knows: one row each, the first match wins.

A title may use the groups of the start pattern, those of the detail pattern
(searched for in the body), and {func}. A row without a function in the text
gets its bare title; rows with sources and no bare title say "corrupted".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

# Where a title's function is looked for, in this order:
#   head   the start line (group func)    pc     the program counter of the trap
#   trace  the reliable stack frames      at     "at: foo+0x1/0x2" of lockdep
#   caller "caller is foo+0x1/0x2"
#   loop   what a stuck CPU was dispatched to
#   sleep  the trace above the scheduler
Source = Literal["head", "pc", "trace", "at", "caller", "loop", "sleep"]


@dataclass(frozen=True)
class Format:
    start: re.Pattern[str]
    title: str
    type: str = ""
    sources: tuple[Source, ...] = ()
    bare: str = ""
    detail: re.Pattern[str] | None = None
    # The reporter goes silent after this, as far as the text can tell.
    one_shot: bool = False
    # Functions that this report passes over beside the helpers.
    skip: re.Pattern[str] | None = None
    # Announces the trap, or is one: before any frame both are one report.
    trap: bool = False
    # Other callers' lines belong to it: it prints what other CPUs do.
    all_callers: bool = False
    # Only with a stack below: a line of this form may come from anywhere.
    needs_trace: bool = False
    # Programs print such lines too: where the kernel's have time stamps, so must it.
    vague: bool = False


def _row(
    start: str,
    title: str,
    type: str = "",
    sources: str = "",
    *,
    bare: str = "",
    detail: str = "",
    one_shot: bool = False,
    skip: str = "",
    trap: bool = False,
    all_callers: bool = False,
    needs_trace: bool = False,
    vague: bool = False,
) -> Format:
    return Format(
        re.compile(start),
        title,
        type,
        tuple(sources.split()),  # type: ignore[arg-type]
        bare,
        re.compile(detail) if detail else None,
        one_shot,
        re.compile(skip) if skip else None,
        trap,
        all_callers,
        needs_trace,
        vague,
    )


# foo+0x12/0x34, foo.part.1+..., or a bare foo
_FUNC: Final = r"(?P<func><[\w:<> ]{1,80}>(?:::\w+)+|[A-Za-z_]\w*)[\w.$]*(?:\+0x|\s|$)"
_IN: Final = rf"(?:.{{0,60}}? in {_FUNC})?"
_ACCESS: Final = r"\b(?P<access>Read|Write) (?:of size|at addr)"
_KASAN: Final = r"BUG: KASAN: "
# "CPU: 0 PID: 1 at file:line func+0x..", in newer kernels "file:line at func+0x.."
_WARN_AT: Final = (
    r"WARNING: (?:(?:CPU: \d+ PID: \d+ )?at FILE:\d+|FILE:\d+ at\b)"
    r"(?: (?P<func>[A-Za-z_]\w*)[\w.]*(?:\+0x|\(|$))?"
)
_CYCLE: Final = (
    r"possible (?:circular|recursive) locking|possible irq lock inversion"
    r"|possible nested lock|lock inversion dependency"
)


def _warn(
    file: str, title: str, type: str = "WARNING", *, skip: str = "", one_shot: bool = False
) -> Format:
    start = _WARN_AT.replace("FILE", file)
    return _row(start, title, type, "head pc trace", skip=skip, one_shot=one_shot)


def _trap(
    start: str, title: str, type: str = "DoS", sources: str = "pc trace", **more: str
) -> Format:
    return _row(start, title, type, sources, trap=True, **more)  # type: ignore[arg-type]


FORMATS: Final[tuple[Format, ...]] = (
    # Sanitizers
    _row(
        _KASAN + r"(?P<kind>null-ptr-deref)" + _IN, "KASAN: {kind} {access} in {func}",
        "KASAN-NULL-POINTER-DEREFERENCE-{ACCESS}", "head trace", detail=_ACCESS,
        bare="KASAN: {kind} {access}",
    ),
    _row(
        _KASAN + r"(?P<kind>[a-z-]*use-after-free)" + _IN, "KASAN: {kind} {access} in {func}",
        "KASAN-USE-AFTER-FREE-{ACCESS}", "head trace", detail=_ACCESS,
    ),
    _row(
        _KASAN + r"(?:double-free|invalid-free)" + _IN, "KASAN: invalid-free in {func}",
        "KASAN-INVALID-FREE", "head trace",
    ),
    _row(
        _KASAN + r"(?P<kind>[a-z][a-z-]+)" + _IN, "KASAN: {kind} {access} in {func}",
        "KASAN-{ACCESS}", "head trace", detail=_ACCESS,
    ),
    _row(
        r"BUG: KFENCE: (?P<kind>use-after-free) (?P<access>read|write)" + _IN,
        "KFENCE: {kind} {access} in {func}", "KFENCE-USE-AFTER-FREE-{ACCESS}", "head trace",
    ),
    _row(
        r"BUG: KFENCE: (?P<kind>out-of-bounds|invalid) (?P<access>read|write)" + _IN,
        "KFENCE: {kind} {access} in {func}", "KFENCE-{ACCESS}", "head trace",
    ),
    _row(
        r"BUG: KFENCE: (?P<kind>invalid free)" + _IN, "KFENCE: {kind} in {func}",
        "KFENCE-INVALID-FREE", "head trace",
    ),
    _row(
        r"BUG: KFENCE: (?P<kind>memory corruption)" + _IN, "KFENCE: {kind} in {func}",
        "KFENCE-MEMORY-CORRUPTION", "head trace",
    ),
    _row(
        r"BUG: KFENCE: (?P<kind>[a-z][a-z -]+?) in " + _FUNC, "KFENCE: {kind} in {func}",
        "KFENCE-UNKNOWN", "head trace",
    ),
    _row(
        r"BUG: KMSAN: (?P<kind>uninit-value)" + _IN, "KMSAN: {kind} in {func}",
        "KMSAN-UNINIT-VALUE", "head trace",
    ),
    _row(
        r"BUG: KMSAN: (?P<kind>kernel-[a-z-]*infoleak[a-z-]*)" + _IN, "KMSAN: {kind} in {func}",
        "KMSAN-INFO-LEAK", "head trace",
    ),
    _row(
        r"BUG: KMSAN: (?P<kind>use-after-free)" + _IN, "KMSAN: {kind} in {func}",
        "KMSAN-USE-AFTER-FREE-READ", "head trace",
    ),
    _row(
        r"BUG: KMSAN: (?P<kind>[a-z-]+)" + _IN, "KMSAN: {kind} in {func}", "KMSAN-UNKNOWN",
        "head trace",
    ),
    _row(
        r"BUG: KCSAN: data-race in (?P<a>\w+)[\w.+/]* / (?P<b>\w+)",
        "KCSAN: data-race in {a} / {b}", "KCSAN-DATARACE",
    ),
    _row(
        r"BUG: KCSAN: data-race" + _IN, "KCSAN: data-race in {func}", "KCSAN-DATARACE",
        "head trace",
    ),
    _row(
        r"BUG: KCSAN: assert: race in (?P<a>\w+)[\w.+/]* / (?P<b>\w+)",
        "KCSAN: assert: race in {a} / {b}", "KCSAN-ASSERT",
    ),
    _row(
        r"BUG: KCSAN: assert: race" + _IN, "KCSAN: assert: race in {func}", "KCSAN-ASSERT",
        "head trace",
    ),
    _row(
        r"BUG: KCSAN: (?P<kind>[a-z-]+)" + _IN, "KCSAN: {kind} in {func}", "KCSAN-UNKNOWN",
        "head trace",
    ),
    _row(
        r"UBSAN: (?P<kind>array-index-out-of-bounds) in ", "UBSAN: {kind} in {func}",
        "MEMORY_SAFETY_UBSAN", "trace", one_shot=True,
    ),
    _row(
        r"UBSAN: Undefined behaviour in ", "UBSAN: undefined-behaviour in {func}", "UBSAN",
        "trace", one_shot=True,
    ),
    _row(
        r"UBSAN: (?P<kind>[a-z][a-z-]+) in ", "UBSAN: {kind} in {func}", "UBSAN", "trace",
        one_shot=True,
    ),
    _row(
        r"Internal error: UBSAN: (?P<kind>[a-z][a-z ]+)", "UBSAN: {kind} in {func}", "UBSAN",
        "pc trace",
    ),
    _row(
        r"BUG: memory leak|unreferenced object 0x[0-9a-f]+ \(size ", "memory leak in {func}",
        "LEAK", "trace", skip=r"\w*alloc|\w*dup|create_object",
    ),

    # Lists, user copies, stacks: said by a line of their own before the trap
    _trap(
        r"\blist_(?:add|del) (?:double add|corruption)"
        r"|prev is NULL\. \(prev=|next is NULL\. \(next=",
        "BUG: corrupted list in {func}", "MEMORY_SAFETY_BUG", "pc trace",
    ),
    _trap(
        r"usercopy: .{0,20}\b(?:[Kk]ernel memory (?:exposure|overwrite) attempt"
        r"|Bad or missing usercopy)",
        "BUG: bad usercopy in {func}", "BUG", "pc trace",
    ),
    _trap(
        r"BUG: (?:\w+ )?stack guard page was hit|kernel stack overflow \(",
        "BUG: stack guard page was hit in {func}", "", "loop pc trace",
    ),
    _trap(
        r"Insufficient stack space to handle exception!",
        "kernel panic: kernel stack overflow in {func}",
    ),
    _trap(
        r"BUG: Dentry .{0,80} still in use.{0,9}\[(?P<func>unmount) of"
        r"|BUG: Dentry .{0,80} still in use",
        "BUG: Dentry still in use in {func}", "", "head", bare="BUG: Dentry still in use",
    ),
    _row(
        r"VFS: Busy inodes after unmount", "VFS: Busy inodes after unmount (use-after-free)",
        "DoS",
    ),
    _row(r"\btrusty: .{0,80}ASSERT FAILED", "trusty: ASSERT FAILED:", "DoS"),
    _row(r"\btrusty: panic \(", "trusty: panic", "DoS"),
    _trap(
        r"CFI failure (?:at (?P<func>[A-Za-z_]\w*)|\()", "CFI failure in {func}", "DoS",
        "head pc trace",
    ),

    # Bad addresses: x86, arm, riscv, s390, ppc, mips, loongarch
    _trap(
        r"(?:BUG: )?(?:[Uu]nable to handle kernel|[Kk]ernel) NULL pointer dereference",
        "BUG: unable to handle kernel NULL pointer dereference in {func}",
        "NULL-POINTER-DEREFERENCE", "pc trace",
    ),
    _trap(
        r"BUG: [Uu]nable to handle (?:kernel|page)|[Uu]nable to handle kernel (?:paging request|"
        r"access to user memory|execute from|write to read-only|read from|pointer dereference"
        r"|data access|instruction fetch|\w+ memory)"
        r"|BUG: [Uu]nable to handle \w+",
        "BUG: unable to handle kernel paging request in {func}", "MEMORY_SAFETY_BUG", "pc trace",
    ),
    _trap(
        r"(?:^|[: ]|access)general protection fault(?:[,:]|$| \[#)",
        "general protection fault in {func}",
    ),
    _trap(r"\bdivide[_ ]error: ", "divide error in {func}"),
    _trap(
        r"\b(?P<kind>stack segment|invalid opcode|alignment check|int3|segment not present)"
        r": [0-9a-f]{4} \[#",
        "{kind} in {func}",
    ),
    _trap(r"PANIC: double fault", "PANIC: double fault in {func}", "DoS", "head pc trace"),
    _trap(r"\bdouble fault: ", "PANIC: double fault in {func}"),
    _trap(r"Unhandled fault: ", "Unhandled fault in {func}"),
    _trap(r"Alignment trap: ", "Alignment trap in {func}"),
    _trap(r"Bad mode in .{1,40} detected", "kernel panic: bad mode", "DoS"),

    # BUG() and its relatives
    _trap(
        r"rust_kernel: panicked at |rust_kernel: .{0,60}\bpanicked at", "{what} in {func}", "",
        "pc trace", detail=r"^(?!rust_kernel)(?P<what>[A-Za-z`].{3,90})$",
    ),
    _trap(r"kernel BUG at ", "kernel BUG in {func}", "BUG", "pc trace"),
    _trap(r"kernel BUG in ", "kernel BUG in {func}", "BUG", "pc trace"),
    _trap(r"\bInternal error: Oops - BUG: ", "kernel BUG in {func}", "BUG", "pc trace"),
    _trap(r"\bInternal error: .{1,60}(?:\[#|: [0-9a-f]+$)", "Internal error in {func}"),
    _trap(r"\bOops[^\[]{0,80}\[#\d", "Oops in {func}"),

    # Sleeping and scheduling where one must not
    _row(
        r"BUG: sleeping function called from invalid context",
        "BUG: sleeping function called from invalid context in {func}", "ATOMIC_SLEEP", "trace",
    ),
    _row(
        r"BUG: scheduling while atomic", "BUG: scheduling while atomic in {func}", "ATOMIC_SLEEP",
        "sleep",
    ),
    _row(
        r"BUG: using (?P<what>\w+\(\)|\w+) in preemptible",
        "BUG: using {what} in preemptible code in {func}", "LOCKDEP", "caller trace",
    ),
    _row(
        r"BUG: workqueue leaked (?:lock or atomic|atomic, lock or RCU)",
        "BUG: workqueue leaked lock or atomic in {func}", "", "head trace",
        detail=r"last function: (?P<func>\w+)",
    ),

    # lockdep
    # The function that takes the lock in the interrupt comes first.
    _row(
        r"lock order detected", "possible deadlock in {func}", "LOCKDEP", "trace at",
        one_shot=True, bare="{said}",
    ),
    _row(
        _CYCLE, "possible deadlock in {func}", "LOCKDEP", "at trace", one_shot=True, bare="{said}",
    ),
    _row(
        r"inconsistent lock state|inconsistent \{[\w-]+\} -> ",
        "inconsistent lock state in {func}", "LOCKDEP", "at trace", one_shot=True,
    ),
    _row(
        r"\b(?P<kind>WARNING|INFO): suspicious RCU usage",
        "{kind}: suspicious RCU usage in {func}", "LOCKDEP", "trace", one_shot=True,
    ),
    _row(
        r"\b(?P<kind>BUG|WARNING): (?:\S{1,40} )?(?P<what>bad unlock balance|held lock freed"
        r"|still has locks held|lock held when returning to user space|lock held at task exit time"
        r"|[Nn]ested lock was not taken)",
        "{kind}: {what} in {func}", "LOCKDEP", "at trace", one_shot=True,
    ),
    _row(
        r"\b(?:BUG|WARNING): [Ii]nvalid wait context", "WARNING: locking bug in {func}", "LOCKDEP",
        "trace", one_shot=True,
    ),
    _row(
        r"INFO: trying to register non-static key",
        "INFO: trying to register non-static key in {func}", "", "trace", one_shot=True,
    ),
    _row(
        r"BUG: (?:NMI watchdog: )?spinlock (?P<what>\w+(?: suspected| magic| owner| cpu)?)",
        "BUG: spinlock {what} in {func}", "LOCKDEP", "trace",
    ),
    _row(r"BUG: rwlock (?P<what>[\w-]+)", "BUG: rwlock {what} in {func}", "LOCKDEP", "trace"),
    _row(r"BUG: MAX_(?P<what>\w+) too low!", "BUG: MAX_{what} too low!", "", one_shot=True),
    _row(
        r"BUG: (?P<what>key \S+ (?:has not been registered|not in \.data)"
        r"|looking up invalid subclass)",
        "BUG: {what}", "", one_shot=True,
    ),

    # Stuck
    _row(
        r"INFO: task .{1,60} blocked (?:in I/O wait )?(?:for more than|on a)",
        "INFO: task hung in {func}", "HANG", "sleep",
    ),
    _row(
        r"INFO: task .{1,60} can't die for more than", "INFO: task can't die in {func}", "HANG",
        "sleep",
    ),
    _row(
        r"INFO: rcu_\w+ (?:self-)?detected (?:expedited )?stalls?",
        "INFO: rcu detected stall in {func}", "HANG", "loop", all_callers=True,
    ),
    _row(r"BUG: soft lockup", "BUG: soft lockup in {func}", "HANG", "loop", all_callers=True),
    _row(
        r"Watchdog detected hard LOCKUP|NMI watchdog: .{0,20}hard LOCKUP",
        "BUG: hard lockup in {func}", "HANG", "loop", all_callers=True,
    ),
    _row(r"BUG: workqueue lockup", "BUG: workqueue lockup", ""),
    _row(
        r"unregister_netdevice: waiting for \S+ to become free",
        "unregister_netdevice: waiting for DEV to become free", "HANG",
    ),

    # mm says that something is wrong
    _row(
        r"BUG: Bad page (?P<what>state|map|cache) in process", "BUG: Bad page {what} in {func}",
        "", "trace", skip=r"\w*(?:page|folio|free|release|put|skb|netif)",
        bare="BUG: Bad page {what}",
    ),
    _row(r"BUG: Bad rss-counter state", "BUG: Bad rss-counter state", ""),
    _row(r"BUG: non-zero pgtables_bytes", "BUG: non-zero pgtables_bytes on freeing mm", ""),
    _row(r"BUG (?P<cache>\S+) \(.{0,60}\): (?!kasan)(?P<what>[^\n]{1,80})", "BUG: {what}", "DoS"),

    # WARN(): the file says who checked
    _warn(
        r"\S*lib/refcount\.[ch]", "WARNING: refcount bug in {func}", "REFCOUNT_WARNING",
        one_shot=True,
    ),
    _warn(r"\S*include/linux/refcount\.h", "WARNING: refcount bug in {func}", "REFCOUNT_WARNING"),
    _warn(r"\S*lib/debugobjects\.c", "WARNING: ODEBUG bug in {func}"),
    _warn(r"\S*lib/kobject\.c", "WARNING: kobject bug in {func}"),
    _warn(
        r"\S*mm/(?:slab_common|slub|slab|util)\.c(?=:\d+(?: at)? _*kv?malloc)",
        "WARNING: kmalloc bug in {func}", skip=r"\w*alloc",
    ),
    _warn(r"\S*fs/proc/generic\.c", "WARNING: proc registration bug in {func}", skip=r"_*proc_"),
    _warn(r"\S*mm/usercopy\.c", "WARNING: bad usercopy in {func}"),
    _warn(
        r"\S*mm/vmalloc\.c(?=:\d+(?: at)? \w*alloc)", "WARNING: zero-size vmalloc in {func}",
        skip=r"\w*alloc",
    ),
    _warn(r"\S*lib/list_debug\.c", "BUG: corrupted list in {func}", "MEMORY_SAFETY_BUG"),
    _warn(
        r"\S*kernel/locking/(?:lockdep|mutex|rwsem|rtmutex)\S*\.c",
        "WARNING: locking bug in {func}", "LOCKDEP",
    ),
    _warn(r"\S*drivers/usb/core/urb\.c", "WARNING in {func}/usb_submit_urb", skip="usb_"),
    _warn(r"\S+", "WARNING in {func}"),
    _row(
        r"WARNING: kernel stack (?P<what>regs|frame pointer) (?:at|in) .{0,80}"
        r"has bad (?P<which>'?\w+'? ?value|value)",
        "WARNING: kernel stack {what} has bad {which}", "",
    ),

    # Panics of their own; those that follow a report belong to it
    _row(
        r"Kernel panic - not syncing: .{0,30}stack is corrupted in:?"
        r" (?P<func>(?![0-9a-f]{8})[A-Za-z_]\w*)?",
        "kernel panic: stack is corrupted in {func}", "DoS", "head trace",
    ),
    _row(
        r"Kernel panic - not syncing: corrupted stack end",
        "kernel panic: corrupted stack end in {func}", "DoS", "loop sleep",
    ),
    _row(r"Kernel panic - not syncing: (?P<said>[^\n]{1,120})", "kernel panic: {said}", "DoS"),
    _row(r"^(?:\S+ )?\[? ?BUG: (?P<said>[^\n]{3,100})", "BUG: {said}", "DoS", vague=True),
    _row(
        r"^(?:\S+ )?\[? ?(?P<kind>WARNING|INFO): (?P<said>[^\n]{3,100})", "{kind}: {said}",
        "WARNING", needs_trace=True, vague=True,
    ),
    _row(
        r"^(?:\d{4}/\d\d/\d\d [\d:]{8} )?(?P<kind>SYZFATAL|SYZFAIL): (?P<said>[^\n]{1,200})",
        "{kind}: {said}", "SYZ_FAILURE",
    ),
)
