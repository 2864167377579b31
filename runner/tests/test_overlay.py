# SPDX-License-Identifier: GPL-2.0
"""The overlay: a kernel tree with the suites in it, made without a trace in the
tree that it is made of."""

import os
import shutil
from pathlib import Path

import pytest

import overlay
from errors import NoVerdict

TREE = {
    "Makefile": "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 1\nEXTRAVERSION =\n",
    "Kconfig": "",
    "lib/Kconfig.debug": "config LAST\n\tbool\n",
    "lib/Makefile": "obj-y += last.o\n",
    "lib/last.c": "int last;\n",
    "mm/slub.c": "int slub;\n",
    "include/linux/mm.h": "#pragma once\n",
}
BUILT = {
    ".config": "CONFIG_X=y\n",
    "vmlinux": "ELF",
    "lib/last.o": "ELF",
    "lib/.last.o.cmd": "gcc\n",
    "lib/modules.order": "",
    "include/config/auto.conf": "CONFIG_X=y\n",
    "include/generated/autoconf.h": "#define CONFIG_X 1\n",
    "arch/x86/include/generated/asm/x.h": "#pragma once\n",
}
PROJECT = {
    "module/Kconfig": "config MEMSAFE_DEV\n\tbool\n",
    "module/Kbuild": "obj-y += memsafe_dev.o\n",
    "module/memsafe_dev.c": "int dev;\n",
    "kunit/Kconfig": "config MEMSAFE_KUNIT\n\tbool\n",
    "kunit/Kbuild": "obj-y += memsafe_a_kunit.o\n",
    "kunit/.kunitconfig": "CONFIG_KUNIT=y\n",
    "kunit/memsafe_a_kunit.c": "int a;\n",
}
HOOKED = ("lib/Kconfig.debug", "lib/Makefile")


def write(top, files):
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    return top


def state(top):
    """Everything below a folder: text, inode and times of every file."""
    return {
        str(path.relative_to(top)): (path.read_text(), path.stat().st_ino, path.stat().st_mtime_ns)
        for path in sorted(top.rglob("*"))
        if path.is_file()
    }


def names(top):
    return set(state(top))


@pytest.fixture
def tree(tmp_path):
    return write(tmp_path / "linux", TREE)


@pytest.fixture
def project(tmp_path):
    return write(tmp_path / "project", PROJECT)


@pytest.fixture
def output(tmp_path):
    return tmp_path / "overlay"


def test_the_overlay_holds_the_tree_and_the_suites(tree, project, output):
    overlay.make(tree, output, project)

    ours = {f"lib/memsafe/{name}" for name in PROJECT} - {"lib/memsafe/kunit/.kunitconfig"}
    assert names(output) >= set(TREE) | ours | {"lib/memsafe/.kunitconfig"}
    assert (output / "lib/memsafe/.kunitconfig").read_text() == "CONFIG_KUNIT=y\n"


def test_hooks_are_in_the_copies_only(tree, project, output):
    before = state(tree)

    overlay.make(tree, output, project)

    assert state(tree) == before
    assert 'source "lib/memsafe/Kconfig"' in (output / "lib/Kconfig.debug").read_text().splitlines()
    assert "obj-y += memsafe/" in (output / "lib/Makefile").read_text().splitlines()


def test_only_hooked_files_are_files_of_their_own(tree, project, output):
    overlay.make(tree, output, project)

    own = {name for name in TREE if not os.path.samefile(tree / name, output / name)}
    assert own == set(HOOKED)


def test_there_is_no_link_to_the_tree(tree, project, output):
    overlay.make(tree, output, project)

    assert not [path for path in output.rglob("*") if path.is_symlink()]
    assert (output / "lib").resolve() == output.resolve() / "lib"


def test_links_of_the_tree_stay_links(tree, project, output):
    (tree / "mm/link.c").symlink_to("slub.c")
    (tree / "scripts").symlink_to("lib")

    overlay.make(tree, output, project)

    assert os.readlink(output / "mm/link.c") == "slub.c"
    assert os.readlink(output / "scripts") == "lib"


def test_what_an_in_place_build_left_stays_behind(tree, project, output):
    """kbuild refuses O= on a tree that has .config or include/config."""
    write(tree, BUILT)
    before = state(tree)

    overlay.make(tree, output, project)

    assert not names(output) & set(BUILT)
    assert names(output) >= set(TREE)
    assert state(tree) == before


def test_a_second_call_changes_nothing(tree, project, output):
    overlay.make(tree, output, project)
    before = state(output)

    overlay.make(tree, output, project)

    assert state(output) == before


def test_a_second_call_brings_only_what_changed(tree, project, output):
    overlay.make(tree, output, project)
    before = state(output)
    (project / "kunit/memsafe_a_kunit.c").write_text("int b;\n")

    overlay.make(tree, output, project)

    changed = {name for name, value in state(output).items() if before.get(name) != value}
    assert changed == {"lib/memsafe/kunit/memsafe_a_kunit.c"}


def replaced(path, text):
    """Write a file as editors and git do: a new one takes the place of the old."""
    path.unlink()
    path.write_text(text)


def test_a_change_of_the_tree_arrives(tree, project, output):
    overlay.make(tree, output, project)
    replaced(tree / "mm/slub.c", "int patched;\n")
    replaced(tree / "lib/Makefile", "obj-y += patched.o\n")
    (tree / "mm/new.c").write_text("int added;\n")
    (tree / "lib/last.c").unlink()

    overlay.make(tree, output, project)

    assert (output / "mm/slub.c").read_text() == "int patched;\n"
    assert (output / "mm/new.c").read_text() == "int added;\n"
    assert not (output / "lib/last.c").exists()
    lines = (output / "lib/Makefile").read_text().splitlines()
    assert "obj-y += patched.o" in lines and lines.count("obj-y += memsafe/") == 1


def test_a_suite_that_is_gone_goes(tree, project, output):
    overlay.make(tree, output, project)
    (project / "kunit/memsafe_a_kunit.c").unlink()

    overlay.make(tree, output, project)

    assert "lib/memsafe/kunit/memsafe_a_kunit.c" not in names(output)


def test_an_overlay_of_another_tree_becomes_that_of_this_one(tmp_path, tree, project, output):
    other = write(tmp_path / "other", {**TREE, "mm/slub.c": "int other;\n", "mm/other.c": ""})
    overlay.make(other, output, project)

    overlay.make(tree, output, project)

    assert (output / "mm/slub.c").read_text() == "int slub;\n"
    assert "mm/other.c" not in names(output)


def test_a_folder_of_somebody_else_is_refused(tree, project, output):
    write(output, {"thesis.txt": "years of work\n"})
    before = state(output)

    with pytest.raises(NoVerdict, match="not empty and no overlay"):
        overlay.make(tree, output, project)
    assert state(output) == before


def test_an_empty_folder_will_do(tree, project, output):
    output.mkdir()

    overlay.make(tree, output, project)

    assert names(output) >= set(TREE)


def test_an_overlay_inside_its_tree_does_not_hold_itself(tree, project):
    output = tree / "overlay"

    overlay.make(tree, output, project)

    assert not (output / "overlay").exists()


def test_no_kernel_tree_is_no_verdict(tmp_path, project, output):
    with pytest.raises(NoVerdict, match="is no kernel tree"):
        overlay.make(tmp_path / "nothing", output, project)
    assert not output.exists()


def test_copies_touch_only_what_differs_and_keep_objects(tmp_path):
    source = write(tmp_path / "source", {"a.c": "a", "b.c": "b", "gone.c": "c", "Kbuild": "k"})
    overlay.copy_changed(source, tmp_path / "copy")
    copy = write(tmp_path / "copy", {"a.o": "object"})
    before = state(copy)
    (source / "b.c").write_text("changed")
    (source / "gone.c").unlink()

    overlay.copy_changed(source, copy)

    after = state(copy)
    assert {name for name in before if before[name] != after.get(name)} == {"b.c", "gone.c"}
    assert after["b.c"][0] == "changed" and "gone.c" not in after and "a.o" in after


def test_a_folder_that_is_gone_from_the_tree_goes(tree, tmp_path):
    gone = tree / "drivers/gone"
    gone.mkdir(parents=True)
    (gone / "file.c").write_text("int gone;\n")
    overlay.mirror(tree, tmp_path / "mirror", keep=set())
    shutil.rmtree(gone)

    overlay.mirror(tree, tmp_path / "mirror", keep={Path("lib/memsafe")})

    assert not (tmp_path / "mirror/drivers/gone").exists()
