# SPDX-License-Identifier: GPL-2.0
"""A work tree of our own for commits and patches on top of somebody's git tree.

Objects are read through alternates and new ones are written into a store in the
cache: nothing is written into the tree or its .git (git renews the time of an
object that it would have written and finds there, no more).  Going from one commit to
another touches only the files that differ, so make builds only what they need.
Neither the tree's configuration nor its hooks are used.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mirror
import overlay
import source
from build import digest
from cache import Cache
from errors import NoVerdict, UsageError
from progress import Progress

STORE = "store"
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    # The tree may belong to somebody else: it is only read.
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    # The same patch on the same base is the same commit.
    "GIT_AUTHOR_DATE": "2000-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2000-01-01T00:00:00Z",
}
OURS = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "core.autocrlf=false",
        "gc.auto=0", "commit.gpgSign=false", "user.name=memsafe", "user.email=memsafe@localhost")  # fmt: skip
TIMEOUT_S = 600.0
MAIL = re.compile(rb"^From [0-9a-f]{40} |\AFrom \S+|\A(From|Subject|Date|Message-I[dD]): ", re.M)
CHANGE = re.compile(rb"^(diff --git |--- \S)", re.M)
BINARY = re.compile(rb"^(GIT binary patch|Binary files .* differ)", re.M)


@dataclass(frozen=True)
class Checkout:
    """`path` is the work tree, `tree` the user's."""

    path: Path
    tree: Path

    def resolve(self, name: str) -> str:
        """The commit that a revision of the user's tree names.  UsageError."""
        found = _git(self.tree, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if found.returncode:
            raise UsageError(f"no commit {name!r} in {self.tree}")
        return _text(found)

    def is_dirty(self) -> bool:
        """Does the user's tree have changes that no commit holds?"""
        return bool(_text(_git(self.tree, "status", "--porcelain", "--untracked-files=no")))

    def at(self, commit: str) -> None:
        """Make the work tree exactly this commit."""
        _must(_git(self.path, "checkout", "--quiet", "--force", "--detach", commit), "check out")
        _must(_git(self.path, "clean", "-q", "-f", "-d", "-x"), "clean")

    def series(self, base: str, patched: str) -> list[str]:
        """The commits after `base`, oldest first.  UsageError when they are no line."""
        merges = _text(_git(self.path, "rev-list", "--merges", "-n", "1", f"{base}..{patched}"))
        if merges:
            raise UsageError(f"{merges[:12]} is a merge: patch by patch only a line of commits can be judged")
        return _text(_git(self.path, "rev-list", "--reverse", f"{base}..{patched}")).split()

    def apply(self, base: str, patch: bytes, name: str) -> str:
        """A commit with a patch, or a mailbox of them, on top of `base`.  UsageError
        for what is no patch of text, NoVerdict when it does not apply."""
        check(patch, name)
        self.at(base)
        shutil.rmtree(self._git_dir() / "rebase-apply", ignore_errors=True)
        if MAIL.search(patch):
            done = _git(self.path, "am", "--quiet", "--keep-non-patch", given=patch)
        else:
            done = _git(self.path, "apply", "--index", given=patch)
            if not done.returncode:
                done = _git(self.path, "commit", "--quiet", "--no-verify", "-m", name)
        if done.returncode:
            self.at(base)
            raise NoVerdict("\n".join([f"{name} does not apply to {base[:12]}:", *_why(done)]))
        return _text(_git(self.path, "rev-parse", "HEAD"))

    def changed(self, base: str, patched: str) -> list[str]:
        """The files that differ between two commits."""
        text = _must(_git(self.path, "diff", "--name-only", "--no-renames", "-z", base, patched), "compare")
        return [name.decode(errors="surrogateescape") for name in text.split(b"\0") if name]

    def text(self, commit: str, name: str) -> str | None:
        """A file in a commit, whatever its encoding; None when there is none."""
        found = _git(self.path, "cat-file", "blob", f"{commit}:{name}")
        return None if found.returncode else found.stdout.decode(errors="surrogateescape")

    def put(self, name: str, text: str) -> None:
        """Another text for a file, up to the next checkout."""
        mirror.check_place(self.path, name)
        (self.path / name).write_bytes(text.encode(errors="surrogateescape"))

    def _git_dir(self) -> Path:
        return Path(_text(_git(self.path, "rev-parse", "--absolute-git-dir")))


def check(patch: bytes, name: str) -> None:
    """UsageError for a patch that is empty, no patch, or of a binary file."""
    if not patch.strip():
        raise UsageError(f"{name} is empty")
    if BINARY.search(patch):
        raise UsageError(f"{name} changes a binary file: only text can be judged")
    if not CHANGE.search(patch):
        raise UsageError(f"{name} is no patch, or changes nothing")


@contextmanager
def hold(tree: Path, cache: Cache, progress: Progress) -> Iterator[Checkout]:
    """The work tree that belongs to a git tree, held against other runs."""
    if not tree.is_dir():
        raise UsageError(f"no tree {tree}")
    top = _git(tree, "rev-parse", "--show-toplevel")
    if top.returncode:
        raise UsageError(f"{tree} is no git tree")
    tree = Path(_text(top))
    with _held(str(tree), cache, progress) as path:
        _borrow(tree, path / STORE)
        yield Checkout(path / "work", tree)


@contextmanager
def hold_trees(
    trees: Sequence[Path], cache: Cache, progress: Progress
) -> Iterator[tuple[Checkout, list[str]]]:
    """The same for kernel trees as they are, each as a commit of its own whose name
    depends on its files alone.  UsageError when two are the same, NoVerdict when one
    is no kernel tree."""
    found = [tree.resolve() for tree in trees]
    for tree in found:
        source.supported(tree)
    with _held(f"files of {found[0]}", cache, progress) as path:
        commits: list[str] = []
        for tree in found:
            progress.step(f"read {tree}")
            commits.append(_commit_of(tree, path / STORE))
            if commits[-1] in commits[:-1]:
                raise UsageError(f"{tree} has the same files as the base: there is nothing to judge")
            progress.say(f"{tree} is {commits[-1][:12]}")
        yield Checkout(path / "work", found[0]), commits


def _commit_of(tree: Path, store: Path) -> str:
    """All source files of a tree, whatever it ignores, as a commit."""
    index = {
        "GIT_DIR": str(store),
        "GIT_WORK_TREE": str(tree),
        "GIT_INDEX_FILE": str(store / f"index-{digest(str(tree))}"),
    }

    def said(*words: str, given: bytes = b"") -> bytes:
        return _must(_git(tree, *words, given=given, more=index), f"read {tree}")

    known = {name for name in said("ls-files", "-z").split(b"\0") if name}
    names = {os.fsencode(folder / name) for folder, _, files in overlay.sources_of(tree, store) for name in files}
    words = ("update-index", "--add", "--remove", "--replace", "-z", "--stdin")
    said(*words, given=b"\0".join(sorted(names | known)))
    written = said("write-tree").decode().strip()
    return said("commit-tree", "-m", "tree", written).decode().strip()


@contextmanager
def _held(identity: str, cache: Cache, progress: Progress) -> Iterator[Path]:
    """The store and the work tree of a name, held and ready."""
    key = f"gate-{digest(identity)}"
    path = cache.entry("overlays", key).resolve()
    with cache.hold("overlays", key, exclusive=True):
        if not (path / "work/.git").is_file():
            progress.step(f"work tree for {identity}")
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
            _must(_git(path, "init", "--quiet", f"--separate-git-dir={path / STORE}", "work"), "set up")
        for leftover in (path / STORE).glob("*.lock"):
            leftover.unlink()
        yield path


def _borrow(tree: Path, store: Path) -> None:
    """See the objects of a tree, also of a linked work tree."""
    found = _must(_git(tree, "rev-parse", "--git-path", "objects"), "look at")
    objects = (tree / found.decode().rstrip("\n")).resolve()
    (store / "objects/info/alternates").write_text(f"{objects}\n")


def _git(
    where: Path, *words: str, given: bytes = b"", more: Mapping[str, str] = {}
) -> subprocess.CompletedProcess[bytes]:
    options = [word for option in OURS for word in ("-c", option)]
    argv = ["git", *options, "-C", str(where), *words]
    try:
        return subprocess.run(argv, input=given, capture_output=True, env={**ENVIRONMENT, **more}, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoVerdict(f"can't run git: {error}") from None


def _text(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stdout.decode(errors="replace").strip()


def _must(done: subprocess.CompletedProcess[bytes], what: str) -> bytes:
    if done.returncode:
        raise NoVerdict("\n".join([f"git can't {what}:", *_why(done)]))
    return done.stdout


def _why(done: subprocess.CompletedProcess[bytes]) -> Sequence[str]:
    """What git says of a failure, without its advice."""
    lines = (done.stderr + done.stdout).decode(errors="replace").splitlines()
    return [line for line in lines if line.startswith(("error:", "fatal:"))][:10] or lines[-5:]
