# SPDX-License-Identifier: GPL-2.0
"""Unified diffs: applied where their lines are and nowhere else, and refused when
they ask for more."""

import random
import subprocess

import pytest

import patch
from patch import BadPatch, DoesNotApply

OLD = "".join(f"line {number}\n" for number in range(1, 21))
PATCH = """\
What is broken, and who would notice.

--- a/mm/slub.c
+++ b/mm/slub.c
@@ -4,5 +4,5 @@ int slub(void)
 line 4
 line 5
-line 6
+line six
 line 7
 line 8
@@ -15,2 +15,4 @@
 line 15
+line 15.3
+line 15.6
 line 16
"""
NEW = OLD.replace("line 6\n", "line six\n").replace("line 15\n", "line 15\nline 15.3\nline 15.6\n")


def hunks(text=PATCH):
    (change,) = patch.parse(text).changes
    return change.hunks


def test_hunks_change_their_lines():
    assert patch.apply(OLD, hunks()) == (NEW, 0)


def test_hunks_find_lines_that_have_moved():
    assert patch.apply("new\n" * 7 + OLD, hunks()) == ("new\n" * 7 + NEW, 7)
    assert patch.apply(OLD.removeprefix("line 1\nline 2\n"), hunks())[1] == 2


def test_the_nearest_of_equal_places_is_taken():
    text = "{\n\treturn 0;\n}\n" * 5
    found = hunks("--- a/f\n+++ b/f\n@@ -7,3 +7,3 @@\n {\n-\treturn 0;\n+\treturn 1;\n }\n")

    assert patch.apply(text, found) == ("{\n\treturn 0;\n}\n" * 2 + "{\n\treturn 1;\n}\n" + "{\n\treturn 0;\n}\n" * 2, 0)


@pytest.mark.parametrize("number", [4, 5, 6, 7, 8, 15, 16])
def test_there_is_no_fuzz(number):
    with pytest.raises(DoesNotApply, match="are not there"):
        patch.apply(OLD.replace(f"line {number}\n", f"line {number}!\n"), hunks())


def test_a_hunk_is_not_applied_before_the_one_above_it():
    with pytest.raises(DoesNotApply):
        patch.apply("line 15\nline 16\n" + OLD.partition("line 15\n")[0], hunks())


def test_a_file_can_come_and_go():
    comes, goes = patch.parse(
        "--- /dev/null\n+++ b/new.c\n@@ -0,0 +1,2 @@\n+one\n+two\n"
        "diff --git a/old.c b/old.c\ndeleted file mode 100644\n"
        "--- a/old.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n"
    ).changes

    assert (comes.path, comes.creates, comes.removes) == ("new.c", True, False)
    assert patch.apply("", comes.hunks) == ("one\ntwo\n", 0)
    assert (goes.path, goes.creates, goes.removes) == ("old.c", False, True)
    assert patch.apply("one\n", goes.hunks) == ("", 0)


@pytest.mark.parametrize("old, new, body", [
    ("a", "b", "-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"),
    ("a", "b\n", "-a\n\\ No newline at end of file\n+b\n"),
    ("a\n", "b", "-a\n+b\n\\ No newline at end of file\n"),
])  # fmt: skip
def test_the_end_of_the_last_line_is_part_of_it(old, new, body):
    assert patch.apply(old, hunks(f"--- a/f\n+++ b/f\n@@ -1 +1 @@\n{body}")) == (new, 0)


def test_lines_end_at_a_line_feed_only():
    old = "form\x0cfeed\r\nnext\n"

    assert patch.apply(old, hunks("--- a/f\n+++ b/f\n@@ -2 +2 @@\n-next\n+last\n"))[0] == "form\x0cfeed\r\nlast\n"


def test_removed_lines_may_look_like_a_header():
    """"-- a/x" and "++ b/x" in a file are "--- a/x" and "+++ b/x" in its patch."""
    (change,) = patch.parse("--- a/f\n+++ b/f\n@@ -1,2 +1 @@\n--- a/x\n-++ b/x\n+gone\n").changes

    assert patch.apply("-- a/x\n++ b/x\n", change.hunks) == ("gone\n", 0)


def test_the_header_ends_where_git_begins():
    assert patch.parse("why\n\n" + "diff --git a/f b/f\nindex 1..2 100644\n" + PATCH).header == "why\n"
    assert patch.parse(PATCH).header == "What is broken, and who would notice.\n"


def name(old, new=None):
    return f"--- {old}\n+++ {new or old}\n@@ -1 +1 @@\n-a\n+b\n"


@pytest.mark.parametrize("text, part", [
    (name("/etc/passwd"), "not below the tree"),
    (name("a/../../etc/passwd"), "not below the tree"),
    (name("a//etc/passwd"), "not below the tree"),
    (name("a/./f"), "not below the tree"),
    (name("../etc/passwd"), "not below the tree"),
    (name("a/mm/.."), "not below the tree"),
    (name("f"), "not below the tree"),
    (name("a/"), "not below the tree"),
    (name("a/.git/config"), "unusual name"),
    (name('"a/f\\303"'), "unusual name"),
    (name("a/f\x1b[2J"), "unusual name"),
    (name("a/f", "b/g"), "renames"),
    (name("/dev/null"), "renames"),
    (name("a/f") + name("a/f"), "a file twice"),
    ("diff --git a/f b/g\nrename from f\nrename to g\n", "only the text"),
    ("diff --git a/f b/f\nold mode 100644\nnew mode 100755\n" + name("a/f"), "only the text"),
    ("diff --git a/f b/f\nnew file mode 120000\n" + name("/dev/null", "b/f"), "only the text"),
    ("diff --git a/f b/f\nGIT binary patch\nliteral 1\n" + name("a/f"), "only the text"),
    ("", "no unified diff"),
    ("rename from a to b\n", "no unified diff"),
    ("*** a/f\n--- b/f\n***************\n*** 1 ****\n! a\n--- 1 ----\n! b\n", "no unified diff"),
    ("--- a/f\n+++ b/f\n", "no hunk"),
    ("@@ -1 +1 @@\n-a\n+b\n", "a hunk of no file"),
    ("--- a/f\n+++ b/f\n@@ -1,2 +1 @@\n-a\n+b\n", "not what the hunk in line 3 announces"),
    ("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n*b\n", "line 5: not what"),
    ("--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n-a\n-b\n+c\n+d\n", "not what"),
])  # fmt: skip
def test_what_is_no_change_of_text_is_refused(text, part):
    with pytest.raises(BadPatch, match=part):
        patch.parse(text)


def test_damaged_patches_are_refused_or_stay_below_the_tree():
    chance = random.Random(1)
    for _ in range(3000):
        text = list(PATCH)
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(text))
            text[at : at + chance.randint(0, 3)] = chance.choice(["", "\n", "-", "+", "@@", "/", "..", "9", "\\"])
        try:
            changes = patch.parse("".join(text)).changes
            for change in changes:
                assert not change.path.startswith("/") and ".." not in change.path.split("/")
                patch.apply(OLD, change.hunks)
        except (BadPatch, DoesNotApply):
            continue


def test_it_does_what_patch_does(tmp_path):
    """Without fuzz, on files that have grown and shrunk in the meantime."""
    chance = random.Random(2)
    applied = 0
    for number in range(60):
        lines = OLD.splitlines(keepends=True)
        for _ in range(chance.randint(0, 2)):
            lines.insert(chance.randrange(len(lines)), f"new {chance.random()}\n")
        if chance.random() < 0.3:
            del lines[chance.randrange(len(lines))]
        text = "".join(lines)
        (tmp_path / "f").write_text(text)
        done = subprocess.run(
            ["patch", "--fuzz=0", "--force", "--reject-file=-", "f"], cwd=tmp_path,
            input=PATCH, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

        if done.returncode:
            with pytest.raises(DoesNotApply):
                patch.apply(text, hunks())
        else:
            applied += 1
            assert patch.apply(text, hunks())[0] == (tmp_path / "f").read_text(), number
    assert 10 < applied < 60
