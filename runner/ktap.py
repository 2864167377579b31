# SPDX-License-Identifier: GPL-2.0
"""KTAP as KUnit and kselftest write it: text in, cases and problems out.

Only a result line makes a pass. Whatever is missing, cut off, contradictory or
empty becomes an error or a miss where it has a name, and a problem always.

Grammar: Documentation/dev-tools/ktap.rst; KUnit nests by indentation, the
kselftest runner by a "# " in front of every line of the program it runs.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Iterator

from ktap_line import MAX_LINE, Bail, Counts, Outcome, Plan, Run, Skipped, Status, Subtest, Version
from ktap_line import lines, program, read

BAD = ("fail", "error", "miss")

# Bounds, so that a hostile or broken log costs time and memory linear in its
# size: they are far above what a test prints on purpose.
MAX_DEPTH = 16          # nested blocks in one stream
MAX_RUNNERS = 4         # kselftest runners inside kselftest runners
MAX_PATH = 500          # characters of all components above a case
MAX_DIAGNOSTICS = 100   # lines kept for a failing case
MAX_ABSENT = 1000       # cases made up for results that never came
MAX_PROBLEMS = 200


@dataclass(frozen=True)
class Case:
    """One result; error: cut off or crashed, miss: announced by a plan only.

    name is the dotted path from the outermost named test (`suite.case.param`);
    a component without a name is `#` and its number, which KTAP keeps free.
    line is the 0-based index of its result line, or of where it should be.
    """

    name: str
    status: Status
    reason: str = ""
    diagnostics: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True)
class Result:
    """cases are the leaves; parents the result lines of what contains them."""

    cases: tuple[Case, ...]
    problems: tuple[str, ...]
    parents: tuple[Case, ...] = ()


def parse(text: str) -> Result:
    """Read every KTAP document in text, which may be a whole console log."""
    notes = _Notes()
    stream = _Stream(notes)
    for index, line, whole in lines(text):
        stream.feed(index, line, whole)
    nodes = stream.close(None)
    if not nodes:
        notes.problem("no test results found")
    cases: list[Case] = []
    parents: list[Case] = []
    _flatten(nodes or [], "", cases, parents)
    return Result(tuple(cases), notes.summary(), tuple(parents))


# The tree -------------------------------------------------------------------

@dataclass
class _Node:
    name: str
    status: Status
    reason: str
    line: int
    diagnostics: tuple[str, ...] = ()
    children: list[_Node] | None = None     # None: a leaf
    said: bool = True                       # False: it has no result line


@dataclass
class _Block:
    """The results of one nesting level, while they come in."""

    indent: int
    line: int
    title: str = ""
    in_suite: bool = False          # so its results are those of parameters
    version: bool = False
    plan: int | None = None
    comment: str = ""               # behind the plan, where "1..0" says why
    nodes: list[_Node] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)
    expected: int = 1
    running: str = ""               # the harness said RUN, but no result yet
    skipped: str = ""               # why the next result is no pass
    announced: str = ""             # "# Subtest:" in front of a deeper block
    pending: _Block | None = None   # a deeper block that waits for its result
    bailed: str = ""
    disorder: list[str] = field(default_factory=list)
    # The last summary of each kind: of direct children, and `Totals` of leaves.
    counts: dict[bool, tuple[int, Counts]] = field(default_factory=dict)

    def where(self) -> str:
        return self.title or f"the document at line {self.line + 1}"

    def is_empty(self) -> bool:
        return self.plan is None and not self.nodes and not self.pending


class _Notes:
    """What all streams of one text share: problems, and a budget."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.dropped = 0
        self.absent = 0

    def problem(self, text: str, line: int | None = None) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(text if line is None else f"line {line + 1}: {text}")
        else:
            self.dropped += 1

    def summary(self) -> tuple[str, ...]:
        more = [f"{self.dropped} more problems"] if self.dropped else []
        return tuple(self.problems + more)


class _Stream:
    """The lines of one writer: a kernel, a program, or a program's program."""

    def __init__(self, notes: _Notes, title: str = "", line: int = 0, depth: int = 0) -> None:
        self.notes, self.title, self.line, self.depth = notes, title, line, depth
        self.stack = [_Block(-1, line)]     # at the bottom what holds the documents
        self.done: list[_Node] = []
        self.spoke = False                  # there was a document, even an empty one
        self.program: _Stream | None = None
        self.recent: deque[str] = deque(maxlen=MAX_DIAGNOSTICS)

    def feed(self, index: int, line: str, whole: bool) -> None:
        title = program(line)
        if title and self.depth < MAX_RUNNERS:
            self._lose_program()
            self.program = _Stream(self.notes, title, index, self.depth + 1)
            return
        if self.program and line.startswith("#"):
            self.program.feed(index, line[1:].removeprefix(" "), whole)
            return
        body = line.strip()
        indent = len(line[:len(line) - len(line.lstrip())].expandtabs(4))
        if not self._structure(index, indent, body, whole):
            self._note(body)

    def close(self, outcome: Status | None) -> list[_Node] | None:
        """All nodes, or None if nothing here was KTAP; outcome: see _finish()."""
        self._lose_program()
        while len(self.stack) > 2:
            block = self.stack.pop()
            self._adopt(self.stack[-1], block)
        if len(self.stack) == 2:
            self._retire(self.stack.pop(), outcome)
        return self.done if self.spoke else None

    def _note(self, body: str) -> None:
        self.recent.append(body[:MAX_LINE])
        if self.program:
            self.program._note(body)

    def _structure(self, index: int, indent: int, body: str, whole: bool) -> bool:
        """Whether body was a line of KTAP and no diagnostic."""
        line = read(body)
        match line:
            case None:
                return False
            case Run(name):
                self.stack[-1].running = name
                return False
            case Bail(reason):
                self.stack[-1].bailed = reason
                self.notes.problem(f"bailed out: {reason}", index)
                return True
            case Counts() if indent > self.stack[-1].indent:
                return False
            case Skipped(reason):
                top = self.stack[-1]
                if not top.in_suite or indent != top.indent:
                    return False
                top.skipped = reason
                return True
        block = self._at(index, indent)
        if block is None:
            return True
        match line:
            case Version():
                block = block if block.is_empty() else self._renew(block, index)
                block.version = True
            # A number that was cut short would be a plan of fewer tests.
            case Plan() if whole:
                self._plan(block, index, line)
            case Subtest(name) if block.is_empty() and not block.title:
                block.title = name
            case Subtest(name):
                block.announced = name
            case Outcome():
                self._result(block, index, line, whole)
            case Counts():
                (block.pending or block).counts[line.name == "Totals"] = (index, line)
        return True

    # Blocks

    def _at(self, index: int, indent: int) -> _Block | None:
        """The block of this indentation; what was open below it has ended."""
        deeper: _Block | None = None
        while self.stack[-1].indent > indent:
            block = self.stack.pop()
            if deeper:
                self._adopt(block, deeper)
            deeper = block
        if self.stack[-1].indent < indent:
            if len(self.stack) > MAX_DEPTH:
                self.notes.problem("nested too deeply", index)
                return None
            above = self.stack[-1]
            if above.pending:
                self._lose(above, above.pending)
            self.stack.append(_Block(indent, index, above.announced, bool(above.title)))
            above.announced = ""
            self.spoke = True
        if deeper:
            self._adopt(self.stack[-1], deeper)
        return self.stack[-1]

    def _adopt(self, above: _Block, block: _Block) -> None:
        if above.pending:
            self._lose(above, above.pending)
        above.pending = block

    def _renew(self, block: _Block, index: int) -> _Block:
        """Start over at the same indentation: another document or subtest."""
        self.stack.pop()
        if len(self.stack) == 1:
            self._retire(block, None)
        else:
            self._lose(self.stack[-1], block)
        self.stack.append(_Block(block.indent, index, block.announced, block.in_suite))
        return self.stack[-1]

    def _retire(self, block: _Block, outcome: Status | None) -> None:
        """End a document; one with a title is a subtest without its parent."""
        if block.title:
            holder = _Block(-1, block.line)
            self._lose(holder, block)
            self.done += holder.nodes
        else:
            self.done += self._finish(block, outcome)

    def _lose(self, above: _Block, block: _Block) -> None:
        """block ended, and the result line of the test it belongs to is absent."""
        if above.pending is block:
            above.pending = None
        name = block.title or f"#{above.expected}"
        children = self._finish(block, None)
        above.nodes.append(self._lost(name, block.line, children))
        above.numbers.add(above.expected)
        above.expected += 1

    def _lose_program(self) -> None:
        if self.program:
            lost, self.program = self.program, None
            node = self._lost(lost.title, lost.line, lost.close(None))
            node.diagnostics = tuple(lost.recent)
            self.done.append(node)
            self.spoke = True

    def _lost(self, name: str, line: int, children: list[_Node] | None) -> _Node:
        self.notes.problem(f"{name}: no result line, the output is cut off or damaged", line)
        return _Node(name, "error", "no result line", line, children=children or None, said=False)

    # Lines that change the tree

    def _plan(self, block: _Block, index: int, plan: Plan) -> None:
        if block.plan is not None or (block.announced and block.nodes):
            if block.nodes or block.pending:
                block = self._renew(block, index)
            elif block.plan != plan.count:
                twice = f"planned twice, {block.plan} and {plan.count} tests"
                self.notes.problem(f"{block.where()}: {twice}", index)
        block.plan = max(plan.count, block.plan or 0)
        block.comment = plan.comment

    def _result(self, block: _Block, index: int, line: Outcome, whole: bool) -> None:
        status, reason = line.status, line.reason
        if status == "pass" and block.skipped:
            status, reason = "skip", block.skipped
        block.skipped = ""
        if not whole:
            status, reason = "error", "the output ends in the middle of the result line"
            self.notes.problem(reason, index)
        name = line.name or block.running or f"#{line.number or block.expected}"
        node = _Node(name, status, reason, index)
        block.running = ""
        diagnostics = tuple(self.recent) if status in BAD else ()
        self.recent.clear()
        children: list[_Node] | None = None
        if self.program and self.program.title == line.name:
            diagnostics = tuple(self.program.recent) if status in BAD else ()
            children, self.program = self.program.close(status), None
        elif block.pending and block.pending.title in ("", line.name):
            children, block.pending = self._finish(block.pending, status), None
        else:
            self._lose_program()
            if block.pending:
                self._lose(block, block.pending)
            if line.by_runner:
                self.notes.problem(f"{name}: the output of this program is not there", index)
        self._number(block, index, line.number)
        node.diagnostics = diagnostics
        if children:
            node.children = children
            self._compare(node, children)
        # An "ok" for a test that says it has subtests, and shows none, is none.
        if children != [] or status != "pass":
            block.nodes.append(node)

    def _number(self, block: _Block, index: int, number: int | None) -> None:
        if number is None:
            self.notes.problem("a result without a number", index)
            number = block.expected
        elif number != block.expected:
            if len(block.disorder) < MAX_PROBLEMS:
                block.disorder.append(f"line {index + 1}: {block.where()}: result {number} where "
                                      f"{block.expected} was due")
        block.numbers.add(number)
        block.expected = max(block.expected, number + 1)

    def _compare(self, node: _Node, children: list[_Node]) -> None:
        bad = sum(child.status in BAD for child in children)
        if bad and node.status in ("pass", "skip"):
            self.notes.problem(f"{node.name}: says {node.status} over {bad} bad results", node.line)
        elif not bad and node.status in BAD:
            self.notes.problem(f"{node.name}: says {node.status} over results that are all good: "
                               f"{node.reason or 'no reason given'}", node.line)
        elif node.status == "skip" and any(child.status == "pass" for child in children):
            self.notes.problem(f"{node.name}: says skip over results that passed", node.line)

    # The end of a block

    def _finish(self, block: _Block, outcome: Status | None) -> list[_Node]:
        """The nodes of an ended block and of those its plan lacks.

        outcome is what the result line above it says, None without one.
        """
        if block.pending:
            self._lose(block, block.pending)
        # Before v6.3 a KUnit module prints its suites without a document
        # around them, and numbers them on from the last module's.
        bare = (not block.version and block.plan is None and bool(block.nodes)
                and all(node.children is not None for node in block.nodes))
        if not bare:
            for text in block.disorder:
                self.notes.problem(text)
            if block.plan is None and block.nodes and not self._is_counted(block, outcome):
                self.notes.problem(f"{block.where()}: no plan")
        if not block.nodes and not block.plan and outcome in (None, "pass"):
            self.notes.problem(f"{block.where()}: no results {block.comment}".rstrip())
        if block.plan is not None and len(block.numbers) > block.plan:
            more = f"{len(block.numbers)} results, but {block.plan} planned"
            self.notes.problem(f"{block.where()}: {more}")
        for total, (index, line) in block.counts.items():
            if total or line.name == block.title:
                self._count(list(_leaves(block.nodes)) if total else block.nodes, index, line)
        block.nodes += self._absent(block, outcome)
        return block.nodes

    def _is_counted(self, block: _Block, outcome: Status | None) -> bool:
        """KUnit (v6.12) plans no parameters: a summary says how many there were.

        A single parameter gets none, but its case then has one result and ends.
        """
        summary = block.counts.get(False)
        return block.in_suite and (
            summary is not None and summary[1].name == block.title
            or summary is None and len(block.nodes) == 1 and outcome is not None)

    def _count(self, nodes: list[_Node], index: int, line: Counts) -> None:
        """Compare a summary with what was seen, so that lost lines show."""
        seen = {"pass": 0, "fail": 0, "skip": 0}
        for node in nodes:
            seen["fail" if node.status in BAD else node.status] += 1
        wrong = [f"{line.said[key]} {key} but {count} seen"
                 for key, count in seen.items() if line.said[key] != count]
        if wrong:
            self.notes.problem(f"summary of {line.name} says {', '.join(wrong)}", index)

    def _absent(self, block: _Block, outcome: Status | None) -> Iterator[_Node]:
        """What was announced and has no result; the first after the last is the culprit."""
        last = max(block.numbers, default=0)
        plan = block.plan or 0
        if block.plan is None and (block.running or block.bailed):
            plan = last + 1
        lacking = plan - sum(number <= plan for number in block.numbers)
        if lacking > 0:
            self.notes.problem(f"{block.where()}: {lacking} of {plan} results are missing")
        number = 0
        while lacking > 0 and self.notes.absent < MAX_ABSENT:
            number += 1
            if number in block.numbers:
                continue
            lacking -= 1
            self.notes.absent += 1
            if number == last + 1 and outcome != "pass":
                reason = "no result, the output ends here"
                if block.bailed:
                    reason = f"bail out: {block.bailed}"
                name = block.running or f"#{number}"
                yield _Node(name, "error", reason, block.line, tuple(self.recent))
            else:
                yield _Node(f"#{number}", "miss", "planned, but no result", block.line)


def _leaves(nodes: list[_Node]) -> Iterator[_Node]:
    for node in nodes:
        if node.children is None:
            yield node
        else:
            yield from _leaves(node.children)


def _flatten(nodes: list[_Node], prefix: str, cases: list[Case], parents: list[Case]) -> None:
    for node in nodes:
        case = Case(prefix + node.name, node.status, node.reason, node.diagnostics, node.line)
        if node.children is None:
            cases.append(case)
        else:
            if node.said:
                parents.append(case)
            _flatten(node.children, case.name[:MAX_PATH] + ".", cases, parents)
