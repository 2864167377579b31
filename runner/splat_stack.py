# SPDX-License-Identifier: GPL-2.0
"""Stack frames in kernel text, and which of them names a bug.

A frame is a line such as " foo+0x1f/0x40 [mod]", or a program counter such as
"RIP: 0010:foo+0x1f/0x40" and "pc : foo+0x1f/0x40". A helper is a function that
is on the stack of many different bugs (the sanitizer, the trap path, an
allocator, a lock); the first frame that is none names the bug.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Frame:
    """One function on a stack; offset and size are 0 where the line has none."""

    function: str
    offset: int = 0
    size: int = 0
    module: str = ""
    where: str = ""  # file:line, when the text was already decoded
    kind: Literal["pc", "call"] = "call"
    reliable: bool = True

    @property
    def name(self) -> str:
        """The function without what the compiler or the linker appended."""
        return plain_name(self.function)


# A C symbol, or a demangled Rust path such as <kernel::Foo>::bar.
_NAME: Final = r"(?:<[\w:<> ,&*]{1,120}>(?:::\w+)+|[A-Za-z_][\w.$]*(?:::\w+)*)"
_AT: Final = rf"(?P<name>{_NAME})\+(?:0x)?(?P<offset>[0-9a-f]+)/(?:0x)?(?P<size>[0-9a-f]+)"
_TAIL: Final = r"(?:\s+\[(?P<module>\w+)[^\]]*\])?(?:\s+(?P<where>[\w./-]+:\d+))?"
_SYMBOL: Final = re.compile(_AT + _TAIL)

# What may stand before a frame: <IRQ>, bracketed addresses, ppc's two of them.
_LEAD: Final = r"\s*(?:</?[A-Z#]{2,4}\d?>\s*)?\(?(?:\[<?[0-9a-f]{8,16}>?\]\s*){0,2}"
_CALL: Final = re.compile(
    _LEAD + r"(?P<maybe>\?\s+)?\(?" + _AT + r"\)?" + _TAIL + r"(?P<note> \(unreliable\))?"
)
_INLINE: Final = re.compile(
    rf"\s*(?:\[<\s+inline\s+>\]\s*)?(?P<maybe>\?\s+)?(?P<name>{_NAME})\s+"
    r"(?P<where>[\w./-]+\.(?:[chS]|rs):\d+)"
    r"(?:\s*\[inline\])?\s*$"
)
_ARM: Final = re.compile(
    rf"\s*(?:\[<[0-9a-f]+>\]\s*)?\(?(?P<name>{_NAME})\)?(?:\s\[(?P<module>\w+)\])? from "
)
_PC: Final = re.compile(
    r"(?:\b(?:RIP|EIP|IP|epc|era|pc)\s*:|\bEIP is at|\bPC is at|\bNIP \[|\bKrnl PSW :)"
    r"(?P<rest>.{0,200})"
)


def parse_frame(text: str) -> Frame | None:
    """The frame that a line (without its printk prefix) shows, or None."""
    if "+0x" not in text and " from " not in text and ":" not in text:
        return None
    if pc := _PC.search(text):
        found = _SYMBOL.search(pc["rest"])
        return _frame(found, kind="pc") if found else None
    if call := _CALL.match(text):
        return _frame(call, reliable=not call["maybe"] and not call["note"])
    if inline := _INLINE.match(text):
        return Frame(inline["name"], where=inline["where"], reliable=not inline["maybe"])
    if arm := _ARM.match(text):
        return Frame(arm["name"], module=arm["module"] or "")
    return None


def find_symbol(text: str) -> Frame | None:
    """The first foo+0x12/0x34 anywhere in the text."""
    found = _SYMBOL.search(text)
    return _frame(found) if found else None


def _frame(
    match: re.Match[str], *, kind: Literal["pc", "call"] = "call", reliable: bool = True
) -> Frame:
    return Frame(
        function=match["name"],
        offset=int(match["offset"], 16),
        size=int(match["size"], 16),
        module=match["module"] or "",
        where=match["where"] or "",
        kind=kind,
        reliable=reliable,
    )


_ABI_PREFIX: Final = re.compile(
    r"^(?:__(?:x64|ia32|arm64|arm|riscv|s390x?|mips|powerpc|loongarch|do|se)_sys_"
    r"|__ia32_compat_sys_|__x64_compat_sys_|SyS_|SYSC_)(?=\w)"
)


def plain_name(function: str) -> str:
    """foo.part.2 and foo.cold are foo; __x64_sys_read and SyS_read are sys_read."""
    if not function.startswith("<"):
        function = function.partition(".")[0]
    return _ABI_PREFIX.sub("sys_", function)


def _prefixes(*words: str) -> re.Pattern[str]:
    """Matches names that begin with one of the words; "word$" is the whole name."""
    return re.compile("(?:" + "|".join(" ".join(words).split()) + ")")


# How a report comes about: printing, trapping, checking.
_REPORTING: Final = r"""
    _?dump_stack __dump_stack show_stack show_regs dump_backtrace unwind_backtrace
    show_trace print_ __print_ report_bug __report_bug fixup_bug handle_bug bug_handler
    do_error_trap do_trap do_invalid_op invalid_op exc_ asm_exc_ brk_handler
    do_debug_exception call_break_hook el1_ el1h_ el1t_ do_mem_abort do_bad_area
    do_translation_fault do_tag_check_fault do_alignment_fault walk_stackframe do_page_fault
    do_undefinstr __die die$ die_ oops_ \w*panic __warn warn_ no_context bad_area __bad_area
    __do_kernel_fault __do_page_fault page_fault trace_do_page_fault trace_page_fault
    async_page_fault do_async_page_fault do_user_addr_fault do_kern_addr_fault
    kernelmode_fixup page_fault_oops do_kernel_fault handle_page_fault general_protection
    do_general_protection error_entry error_exit stack_segment do_stack_segment divide_error
    do_divide_error double_fault do_double_fault __do_user_fault do_DataAbort __dabt_svc$
    __pabt_svc$ __und_svc do_sparc common_exception exception_ trap_ do_trap_
    handle_exception ret_from_exception vprintk printk _printk console_unlock
    rust_begin_unwind rust_helper_BUG __x86_indirect retpoline __x86_return core::panicking
    core::option::unwrap core::result::unwrap _RNv\w*(?:panicking|begin_unwind)
    __invalid_creds __schedule_bug ___might_ __might_ might_fault might_sleep
    check_preemption_disabled debug_smp_processor_id __this_cpu_preempt_check
    look_up_lock_class lockdep_ check_noncircular check_prev check_deadlock check_flags
    check_usage validate_chain mark_lock mark_held __lock_ lock_acquire lock_release
    lock_is_held reacquire_held lock_downgrade register_lock_class assign_lock_key
    save_trace graph_lock check_wait_context invalid_wait debug_check_no_locks debug_lock
    __lockdep debug_object __debug_object debug_print_object debug_check_no_obj debug_rcu
    debug_timer debug_hrtimer debug_work spin_bug spin_dump rwlock_bug __stack_chk_fail
    __fortify fortify_ usercopy_ check_stack_object __check_object check_object
    __check_heap_object __list_ list_ hlist_ __hlist nl80211_invalid __bug_ do_bug
"""

# Sanitizers, allocators, memory and string primitives, user copies.
_MEMORY: Final = r"""
    kasan_(?!\w*(?:oob|uaf|test)) __kasan ____kasan __asan_ __hwasan_ hwasan_ check_memory_region
    memory_is_poisoned check_region_inline bytes_is_ end_report start_report describe_
    address_is kmsan_ __msan_ __kmsan kcsan_ __kcsan __tsan_ check_access kfence_ __kfence
    __ubsan_ ubsan_ handle_overflow __sanitizer_ sanitizer_ write_comp_data kcov_ pcpu_
    __alloc_percpu instrument_ save_stack set_track stack_trace stack_depot __depot depot_
    arch_stack_walk kmalloc(?!\w*(?:oob|uaf|test)) __kmalloc __do_kmalloc kmem_ __kmem
    ___kmalloc ____cache krealloc __krealloc kzalloc kcalloc kvmalloc __kvmalloc kmemdup
    kmemleak kfree$ kfree_sensitive kzfree kvfree vfree __vfree __vunmap vfree_atomic
    vmalloc __vmalloc vzalloc __slab slab_ ___slab ___cache_free __cache_free cache_ __cache
    check_slab free_large_ free_debug on_freelist alloc_debug new_slab allocate_slab
    get_partial __do_cache_alloc __do_kfree do_slab_free __do_slab alloc_pages __alloc_pages
    __alloc_frozen alloc_frozen __get_free_page get_zeroed_page mem\w*dup vmemdup strndup
    free_to_partial ksize __ksize fs_reclaim dma_pool_ memcpy __memcpy memset __memset
    memmove __memmove memcmp memchr memscan __mem str[a-z]*$ sized_strscpy __str _copy_
    copy_from_user copy_to_user __copy copy_user copyin$ copyout$ copy_from_iter$
    copy_to_iter$ raw_copy _raw_copy \w*copy_(?:to|from)_user simple_copy_ copy_page_
    copy_folio copy_to_iter iterate_and_advance check_copy csum_partial csum_and_copy
    __put_user __get_user _inline_copy clear_user __clear_user fault_in iov_iter bitmap_
    __bitmap jhash find_first find_next _find_ __find_ crc\d* crc_ xxh xas_ xa_ radix_tree
    __radix idr_ ida_ find_lock_ find_get_ pagevec_ folio_batch truncate_inode_pages
    truncate_pagecache in[bwl]$ out[bwl]$ logic_(?:in|out) read[bwlq]$ write[bwlq]$ ioread
    iowrite __io_
"""

# Atomics, reference counts, lists, trees, locks, RCU: broken by their callers.
_PRIMITIVES: Final = r"""
    atomic _atomic __atomic arch_atomic raw_atomic refcount_ __refcount kref_ test_bit
    set_bit clear_bit _set_bit _test_and test_and_ arch_test_bit arch_set __cmpxchg cmpxchg
    xchg xadd __read_once READ_ONCE __write_once read_word constant_test variable_test rb_
    __rb_ rbt_ check_list _raw_ __raw_ raw_spin __task_rq task_rq do_raw queued_
    native_queued __pv_queued pv_queued spin_lock spin_unlock spin_ ticket_spin read_lock
    write_lock arch_spin arch_local arch_irq mutex_ __mutex call_rwsem rwsem_ __rwsem
    down_read down_write down_trylock down$ down_interruptible __down up_read up_write
    __up_read __up_write percpu_ __percpu rt_mutex __rt_mutex rt_spin __wake_up rcu_read
    __rcu_read rcu_lock rcu_is_watching rcu_dereference srcu_read __srcu_read osq_ bit_spin
    lockref_ swake wake_up_(?!new_task) __wake_ exp_funnel seqcount_ seqprop read_seq
    kobject_get kobject_put trace_hardirqs trace_irq trace_lock __trace_hardirqs __local_bh
    local_bh
"""

# What an owner does with its object: the owner is to blame.
_SERVICES: Final = r"""
    del_timer timer_(?:delete|is_static|shutdown) try_to_ mod_timer __mod_timer add_timer
    lock_timer_base detach_if_pending hrtimer_(?:try|cancel|start) insert_work __queue_
    queue_work queue_delayed mod_delayed flush_work __flush_ __cancel_ cancel_work
    cancel_delayed flush_delayed flush_workqueue drain_workqueue destroy_workqueue
    work_is_static call_rcu __call_rcu kvfree_call kfree_rcu rcu_barrier$ _rcu_barrier
    kthread_stop complete$ complete_all add_uevent rollback_registered unregister_netdevice_
    mark_buffer_dirty kobject_ kset_ sysfs_ kernfs_(?:remove|get|put|find)
    device_(?:add|del|register|unregister|destroy|create|release|for_each) get_device
    put_device klist_ devres_ dpm_ __unregister_client i2c_del_ hwrng_ tty_unregister_device
    usb_(?:kill|unlink|poison) put_pid get_pid cdev_ module_put put_page get_page
    folio_(?:put|get)$ put_net$ dev_(?:put|hold)$ netdev_put sock_hold mntput free_percpu
    iput$ dput$ dget fast_dput drop_nlink inc_nlink fput$ folio_unlock unlock_page ihold
    igrab lock_sock release_sock kfree_skb consume_skb
    skb_(?:release|put|push|pull|panic|over|under|queue|dequeue|unlink|clone|trim)
    __skb_(?:put|push|pull|queue|dequeue|unlink) sock_put ref_tracker_ reiserfs_write_
    string$ string_nocheck pointer$ hex_ kv?asprintf kasprintf vsnprintf vscnprintf snprintf
    sprintf vsprintf seq_printf seq_puts perf_trace_ trace_event_raw bpf_trace_ perf_tp_
    wait_for_completion finish_wait prepare_to_wait assertfail assfail wait_for_common
    pagefault_
"""

# A sampled CPU: the interrupt that looked, down to its entry.
_SAMPLING: Final = r"""
    nmi_ __nmi arch_trigger trigger_ rcu_dump rcu_check rcu_sched_clock rcu_pending
    rcu_stall rcu_gp_kthread check_cpu_stall print_cpu print_other sched_show _sched_show
    dump_cpu update_process_times tick_ profile_tick __hrtimer hrtimer_ local_apic smp_apic
    apic_timer sysvec_ asm_sysvec __sysvec asm_call smp_call_function_interrupt
    reschedule_interrupt irqentry irq_exit __irq_exit irq_enter irq_work interrupt_entry
    instr_sysvec common_interrupt asm_common do_IRQ handle_irq handle_percpu handle_domain
    generic_handle gic_ arch_timer el1_irq el0_irq call_on_irq do_interrupt __irq_svc
    __handle_domain watchdog softlockup default_idle arch_cpu_idle native_safe_halt
    __sched_text stop_this_cpu timer_interrupt __do_irq raise_softirq ___preempt
    preempt_schedule __preempt __read_lock preempt_count kvm_wait$ pv_ __pv kvm_guest
    native_ paravirt handle_IPI ipi_
"""

# Asleep, whatever for.
_SLEEPING: Final = r"""
    __schedule schedule io_schedule context_switch wait_for_common __wait_for do_wait_for
    wait_for_completion __wait_on wait_on_bit out_of_line_wait bit_wait __bit_lock
    __lock_page __folio_lock folio_lock lock_page wait_on_page folio_wait prepare_to_wait
    finish_wait console_lock __wait_rcu __synchronize do_read_cache filemap_fdata
    __filemap_fdata __sched_ __switch_to down_timeout wait_woken freezable_schedule
    preempt_schedule __cond_resched _cond_resched cond_resched dump_task
"""

HELPERS: Final = _prefixes(_REPORTING, _MEMORY, _PRIMITIVES, _SERVICES)
REPORTERS: Final = _prefixes(_REPORTING)
SAMPLERS: Final = _prefixes(_SAMPLING)
SLEEPERS: Final = _prefixes(_SLEEPING)

# Where the kernel dispatches to many unrelated things: in a loop the sample is
# taken anywhere, but what was dispatched to stays the same.
DISPATCHERS: Final = _prefixes(r"""
    do_syscall do_fast_syscall do_int80 __do_fast entry_SYSCALL entry_SYSENTER entry_INT80
    system_call sysenter int_ret_from ret_fast_syscall __invoke_syscall invoke_syscall
    el0_svc syscall_return ia32_sys x64_sys_call do_el0_svc
    (?:compat_|__compat_)?(?:sys|SyS|ksys)_(?:ioctl|p?readv?|p?writev?|send|connect|close|bind)
    (?:compat_|__compat_)?(?:sys|SyS|ksys)_(?:accept|[sg]etsockopt)
    do_compat_ do_vfs_ioctl vfs_ioctl vfs_read vfs_write __vfs_ new_sync_ do_iter_
    call_write_iter call_read_iter do_loop_readv vfs_iter sock_sendmsg __sock_sendmsg
    sock_recvmsg _+sys_(?:send|connect|[sg]etsockopt|bind|accept) sock_write_iter
    sock_read_iter \w+_compat_ioctl$ (?:rtnetlink|nfnetlink|sock_diag|xfrm_user)_rcv_msg
    nfnetlink_rcv rtnetlink_rcv __netif_receive netif_receive deliver_skb process_backlog
    net_rx_action napi_poll __napi_poll call_timer_fn expire_timers __run_timers run_timer
    tasklet_action __tasklet __do_softirq do_softirq handle_softirqs run_ksoftirqd
    smpboot_thread __softirqentry process_one_work process_scheduled worker_thread kthread$
    ret_from_fork ret_from_kernel task_work_run exit_to_usermode do_exit do_group_exit
    do_one_initcall rcu_do_batch rcu_core rcu_process invoke_softirq secondary_startup
    start_secondary start_kernel cpu_startup
""")


def first_named(frames: Iterable[Frame], *skip: re.Pattern[str]) -> str:
    """The first function that no pattern of helpers matches, else ""."""
    for frame in frames:
        if frame.reliable and not any(pattern.match(frame.name) for pattern in skip):
            return frame.name
    return ""


def looping(frames: Iterable[Frame]) -> str:
    """What a stuck CPU was dispatched to, else "" (see DISPATCHERS)."""
    above = ""
    for frame in frames:
        name = frame.name
        if not frame.reliable or SAMPLERS.match(name):
            continue
        if name.startswith("smp_call_function"):
            return "smp_call_function"  # its variants wait for the same CPU
        if DISPATCHERS.match(name):
            if above:
                return above
            continue
        if above or not HELPERS.match(name):
            above = name
    return above
