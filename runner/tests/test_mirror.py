# SPDX-License-Identifier: GPL-2.0
"""The tree that mutants are built in: its source stays as it was, and make builds
what has changed in it, there and back, also after a run that was killed."""

import os
import shutil
import signal
import subprocess

import pytest

import mirror
from another import Another
from cache import Cache
from errors import UsageError
from source import Source
from test_overlay import TREE, names, replaced, state, write

# "objects", out of tree as kbuild's: what was built is said.
MAKEFILE = """\
VPATH = {source}
all: slub.o last.o
slub.o: mm/slub.c include/linux/mm.h
last.o: lib/last.c include/linux/mm.h
%.o:
\t@echo $@
\t@cat $^ > $@
"""


class Quiet:
    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)

    def step(self, text):
        pass

    def done(self):
        pass


@pytest.fixture
def tree(tmp_path):
    return write(tmp_path / "linux", TREE)


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache", lambda text: None)


@pytest.fixture
def held(tree, cache):
    """Hold the mirror, as each run does once."""

    def hold(progress=None):
        return mirror.hold(Source(tree, "6.12.1", "", pinned=False), cache, progress or Quiet())

    return hold


@pytest.fixture
def make(tmp_path):
    """Build the objects of a mirror; returns which were."""

    def build(source):
        folder = tmp_path / "build"
        folder.mkdir(exist_ok=True)
        (folder / "Makefile").write_text(MAKEFILE.format(source=source))
        done = subprocess.run(["make", "-rs", "-C", folder], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return set(done.stdout.split())

    return build


def test_it_holds_the_tree(tree, held):
    with held() as copy:
        assert names(copy) - {str(mirror.MARK)} == set(TREE)
        assert os.path.samefile(copy / "mm/slub.c", tree / "mm/slub.c")


def test_files_change_for_a_while_and_the_source_does_not(tree, held):
    before = state(tree)
    changes = {"mm/slub.c": "int mutant;\n", "lib/last.c": None, "mm/deep/new.c": "int new;\n"}

    with held() as copy:
        with mirror.changed(tree, copy, changes):
            assert (copy / "mm/slub.c").read_text() == "int mutant;\n"
            assert (copy / "mm/deep/new.c").read_text() == "int new;\n"
            assert not (copy / "lib/last.c").exists()
            assert state(tree) == before

        assert {name: (copy / name).read_text() for name in TREE} == TREE
        assert names(copy) - {str(mirror.MARK)} == set(TREE)
        assert not (copy / "mm/deep").exists() and (copy / "mm").exists()
    assert state(tree) == before


def test_a_changed_file_keeps_its_mode(tree, held):
    (tree / "lib/last.c").chmod(0o755)

    with held() as copy, mirror.changed(tree, copy, {"lib/last.c": "int mutant;\n"}):
        assert (copy / "lib/last.c").stat().st_mode & 0o777 == 0o755


def test_make_builds_what_changed_there_and_back(tree, held, make):
    with held() as copy:
        assert make(copy) == {"slub.o", "last.o"}
        assert make(copy) == set()
        with mirror.changed(tree, copy, {"mm/slub.c": "int mutant;\n"}):
            assert make(copy) == {"slub.o"}
        assert make(copy) == {"slub.o"}
        with mirror.changed(tree, copy, {"include/linux/mm.h": "int mutant;\n"}):
            assert make(copy) == {"slub.o", "last.o"}
        assert make(copy) == {"slub.o", "last.o"}
    with held() as copy:
        assert make(copy) == set()


def test_a_change_that_fails_is_undone(tree, held):
    with held() as copy:
        with pytest.raises(RuntimeError), mirror.changed(tree, copy, {"mm/slub.c": "int mutant;\n"}):
            raise RuntimeError
        assert (copy / "mm/slub.c").read_text() == TREE["mm/slub.c"]


KILLED = """
from pathlib import Path
import mirror
with mirror.changed(Path(args[0]), Path(args[1]), {"mm/slub.c": "int mutant;", "mm/new.c": ""}):
    say("changed")
    wait()
"""


def test_what_a_killed_run_left_is_undone_by_the_next(tree, held, make):
    before = state(tree)
    with held() as copy:
        with Another(KILLED, tree, copy) as run:
            assert run.line() == "changed"
            make(copy)
            run.child.send_signal(signal.SIGKILL)
            run.child.wait()
        assert (copy / "mm/slub.c").read_text() == "int mutant;"
    progress = Quiet()

    with held(progress) as copy:
        assert (copy / "mm/slub.c").read_text() == TREE["mm/slub.c"]
        assert names(copy) - {str(mirror.MARK)} == set(TREE)
        assert make(copy) == {"slub.o"}
    assert progress.said == ["brought up to date: mm/new.c", "brought up to date: mm/slub.c"]
    assert state(tree) == before


@pytest.mark.parametrize("half", ["", "int sl", "int SLUB;\n"])
def test_what_is_not_the_text_of_the_source_is_replaced(tree, held, half):
    """Killed while a file was written."""
    with held() as copy:
        replaced(copy / "mm/slub.c", half)
    with held() as copy:
        assert (copy / "mm/slub.c").read_text() == TREE["mm/slub.c"]


def test_a_half_made_mirror_is_completed(tree, held):
    with held() as copy:
        (copy / mirror.MARK).unlink()
        shutil.rmtree(copy / "mm")
    with held() as copy:
        assert names(copy) - {str(mirror.MARK)} == set(TREE)


def test_a_change_of_the_source_arrives_and_is_built(tree, held, make):
    """Also one that is older than what was built from the file before."""
    with held() as copy:
        make(copy)
    (tree / "mm/slub.c").unlink()
    write(tree, {"mm/slub.c": "int patched;\n", "drivers/new/new.c": "int new;\n"})
    os.utime(tree / "mm/slub.c", (1, 1))
    (tree / "lib/Makefile").unlink()

    with held() as copy:
        assert (copy / "mm/slub.c").read_text() == "int patched;\n"
        assert (copy / "drivers/new/new.c").exists() and not (copy / "lib/Makefile").exists()
        assert make(copy) == {"slub.o"}


def test_folders_files_and_links_may_change_places(tree, held):
    write(tree, {"a/file": "", "b": ""})
    (tree / "c").symlink_to("mm")
    with held() as copy:
        assert os.readlink(copy / "c") == "mm"
    shutil.rmtree(tree / "a")
    (tree / "b").unlink()
    (tree / "c").unlink()
    write(tree, {"a": "now a file", "c/file": ""})
    (tree / "b").symlink_to("lib")

    with held() as copy:
        assert (copy / "a").read_text() == "now a file"
        assert os.readlink(copy / "b") == "lib"
        assert (copy / "c/file").exists() and not (copy / "c").is_symlink()
        assert names(copy) - {str(mirror.MARK)} == names(tree)


@pytest.mark.parametrize("name", ["file", "folder/passwd"])
def test_nothing_is_changed_through_a_symlink(tree, held, tmp_path, name):
    elsewhere = write(tmp_path / "elsewhere", {"passwd": "root"})
    (tree / "folder").symlink_to(elsewhere)
    (tree / "file").symlink_to(elsewhere / "passwd")

    with held() as copy:
        with pytest.raises(UsageError, match="symlink"), mirror.changed(tree, copy, {name: "mutant"}):
            pass
    assert (elsewhere / "passwd").read_text() == "root"


def test_builds_of_a_mirror_that_is_gone_go(tree, held, cache):
    """Their objects may be of a mutant and yet newer than the new mirror's files."""
    kernels = cache.root / "kernels"
    with held() as copy:
        for name, source in (("ours", copy), ("another", tree)):
            (kernels / name).mkdir(parents=True)
            (kernels / name / "source").symlink_to(source)
    shutil.rmtree(copy)

    with held():
        assert [path.name for path in kernels.iterdir()] == ["another"]
