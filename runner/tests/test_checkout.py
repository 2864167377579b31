# SPDX-License-Identifier: GPL-2.0
"""Commits and patches on top of a git tree that stays as it was."""

import os
import subprocess

import pytest

import checkout
from cache import Cache
from errors import NoVerdict, UsageError
from progress import Progress

HOSTILE = ["core.hooksPath=hooks", "core.fsmonitor=./trap", "filter.trap.smudge=./trap"]


def git(tree, *words, given=None):
    argv = ["git", "-C", str(tree), "-c", "user.name=A", "-c", "user.email=a@b", *words]
    return subprocess.run(argv, input=given, capture_output=True, check=True).stdout.decode().strip()


def commit(tree, message="change", **files):
    for name, text in files.items():
        (tree / name).write_text(text)
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", message)
    return git(tree, "rev-parse", "HEAD")


@pytest.fixture
def tree(tmp_path):
    path = tmp_path / "tree"
    path.mkdir()
    git(path, "init", "-q")
    commit(path, "first", a="one\ntwo\nthree\n", b="same\n")
    return path


@pytest.fixture
def held(tree, tmp_path):
    with checkout.hold(tree, Cache(tmp_path / "cache", print), Progress(quiet=True)) as found:
        yield found


def everything(folder):
    """Every file below: size, time (git renews that of objects it needs) and number."""
    found = {}
    for top, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(top, name)
            stat = os.lstat(path)
            time = 0 if "/.git/objects/" in path else stat.st_mtime_ns
            found[path] = (stat.st_size, time, stat.st_ino)
    return found


def mail(tree, commits=1):
    return subprocess.run(
        ["git", "-C", str(tree), "format-patch", "--stdout", f"-{commits}"], capture_output=True, check=True
    ).stdout


def test_the_work_tree_is_the_commit(tree, held):
    base, patched = held.resolve("HEAD"), commit(tree, a="one\n2\nthree\n", c="new\n")

    held.at(base)
    before = sorted(path.name for path in held.path.iterdir())
    held.at(patched)

    assert before == [".git", "a", "b"]
    assert (held.path / "a").read_text() == "one\n2\nthree\n"
    assert held.changed(base, patched) == ["a", "c"]


def test_only_what_differs_is_touched(tree, held):
    base, patched = held.resolve("HEAD"), commit(tree, a="1\n")
    held.at(base)
    before = everything(held.path)

    held.at(patched)

    after = everything(held.path)
    assert [os.path.basename(path) for path in after if after[path] != before[path]] == ["a"]


def test_a_file_is_read_from_a_commit_whatever_its_encoding(tree, held):
    (tree / "c").write_bytes(b"caf\xe9\n")
    with_c = commit(tree, a="1\n")

    assert [held.text(with_c, name) for name in "ac"] == ["1\n", "caf\udce9\n"]
    assert held.text(f"{with_c}~", "c") is None


def test_another_text_stays_up_to_the_next_checkout(tree, held):
    (tree / "link").symlink_to(tree / "a")
    base = commit(tree)
    held.at(base)

    held.put("b", "caf\udce9\n")
    changed = (held.path / "b").read_bytes()
    held.at(base)

    assert (changed, (held.path / "b").read_text()) == (b"caf\xe9\n", "same\n")
    with pytest.raises(UsageError, match="link is a symlink"):
        held.put("link", "through")


def test_leftovers_of_a_build_go(tree, held):
    base = held.resolve("HEAD")
    held.at(base)
    (held.path / "a").write_text("damaged")
    (held.path / "folder").mkdir()
    (held.path / "folder/a.o").write_text("object")

    held.at(base)

    assert (held.path / "a").read_text() == "one\ntwo\nthree\n"
    assert not (held.path / "folder").exists()


def test_nothing_is_written_into_the_tree(tree, held):
    commit(tree, a="1\n")
    patch = mail(tree)
    before = everything(tree)
    assert before

    patched = held.apply(held.resolve("HEAD~"), patch, "my.mbox")
    held.series(held.resolve("HEAD~"), patched)
    held.is_dirty()

    assert everything(tree) == before


def test_a_mailbox_is_a_commit_each(tree, held):
    base = held.resolve("HEAD")
    commit(tree, "second", a="1\n")
    commit(tree, "third", b="2\n")

    patched = held.apply(base, mail(tree, 2), "series.mbox")

    assert len(held.series(base, patched)) == 2
    assert held.changed(base, patched) == ["a", "b"]
    assert (held.path / "b").read_text() == "2\n"


def test_a_plain_diff_is_one_commit(tree, held):
    base = held.resolve("HEAD")
    (tree / "a").write_text("one\nzwei\nthree\n")
    diff = subprocess.run(["git", "-C", str(tree), "diff"], capture_output=True, check=True).stdout

    patched = held.apply(base, diff, "fix.diff")

    assert held.series(base, patched) == [patched]
    assert (held.path / "a").read_text() == "one\nzwei\nthree\n"


@pytest.mark.parametrize("as_mail", [True, False])
def test_a_patch_that_does_not_apply_names_its_place(tree, held, as_mail):
    base = held.resolve("HEAD")
    commit(tree, a="completely\ndifferent\n")
    commit(tree, a="completely\nanother\n")
    patch = mail(tree)

    with pytest.raises(NoVerdict, match=r"fix does not apply to [0-9a-f]{12}:\n(.*\n)*.*\ba\b"):
        held.apply(base, patch if as_mail else patch[patch.index(b"diff --git") :], "fix")

    assert (held.path / "a").read_text() == "one\ntwo\nthree\n"


def test_after_one_that_does_not_apply_the_next_one_does(tree, held):
    base = held.resolve("HEAD")
    commit(tree, a="1\n")
    good = mail(tree)
    commit(tree, a="2\n")
    with pytest.raises(NoVerdict):
        held.apply(base, mail(tree), "bad")

    held.apply(base, good, "good")

    assert (held.path / "a").read_text() == "1\n"


@pytest.mark.parametrize("patch, why", [
    (b"", "is empty"),
    (b" \n\n", "is empty"),
    (b"hello\n", "is no patch, or changes nothing"),
    (b"From: A <a@b>\nSubject: [PATCH 0/2] a letter\n\ntext\n", "is no patch, or changes nothing"),
    (b"diff --git a/x b/x\nindex 1..2\nGIT binary patch\nliteral 1\n", "changes a binary file"),
    (b"diff --git a/x b/x\nBinary files a/x and b/x differ\n", "changes a binary file"),
])  # fmt: skip
def test_what_is_no_patch_of_text_is_refused(held, patch, why):
    with pytest.raises(UsageError, match=f"my.patch {why}"):
        held.apply(held.resolve("HEAD"), patch, "my.patch")


@pytest.mark.parametrize("name", ["nosuch", "--help", "", "HEAD:a"])
def test_a_revision_that_is_no_commit_is_named(held, name):
    with pytest.raises(UsageError, match="no commit"):
        held.resolve(name)


def test_a_merge_is_no_line_of_patches(tree, held):
    base = held.resolve("HEAD")
    git(tree, "checkout", "-qb", "side")
    commit(tree, b="side\n")
    git(tree, "checkout", "-q", "-")
    commit(tree, a="main\n")
    git(tree, "merge", "-q", "--no-edit", "side")

    with pytest.raises(UsageError, match="is a merge"):
        held.series(base, held.resolve("HEAD"))


def test_changes_without_a_commit_are_noticed(tree, held):
    clean = held.is_dirty()
    (tree / "a").write_text("changed")

    assert (clean, held.is_dirty()) == (False, True)


def test_a_shallow_clone_and_a_linked_work_tree_will_do(tree, tmp_path):
    commit(tree, a="1\n")
    commit(tree, b="1\n")
    patch = mail(tree)
    git(tree, "reset", "-q", "--hard", "HEAD~")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{tree}", "shallow")
    git(tree, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))

    for name in ("shallow", "linked"):
        with checkout.hold(tmp_path / name, Cache(tmp_path / "cache", print), Progress(quiet=True)) as found:
            base = found.resolve("HEAD")
            assert len(found.series(base, found.apply(base, patch, "fix"))) == 1
            assert [(found.path / part).read_text() for part in "ab"] == ["1\n", "1\n"]


def test_neither_hooks_nor_configuration_of_the_tree_run(tree, tmp_path):
    trap = tmp_path / "sprung"
    for place in ("hooks", ".git/hooks"):
        (tree / place).mkdir(exist_ok=True)
        for name in ("post-checkout", "pre-commit", "applypatch-msg", "post-applypatch"):
            (tree / place / name).write_text(f"#!/bin/sh\ntouch {trap}\n")
            (tree / place / name).chmod(0o755)
    (tree / "trap").write_text(f"#!/bin/sh\ntouch {trap}\ncat\n")
    (tree / "trap").chmod(0o755)
    base = commit(tree, ".gitattributes", **{".gitattributes": "* filter=trap\n"})
    commit(tree, a="1\n")
    for line in HOSTILE:
        git(tree, "config", *line.split("=", 1))
    patch = mail(tree)
    trap.unlink(missing_ok=True)

    with checkout.hold(tree, Cache(tmp_path / "cache", print), Progress(quiet=True)) as found:
        found.apply(base, patch, "fix")
        found.is_dirty()

    assert not trap.exists()


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_what_is_no_git_tree_is_named(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(UsageError, match="no (git )?tree"):
        with checkout.hold(tmp_path / "x", Cache(tmp_path / "cache", print), Progress(quiet=True)):
            pass
