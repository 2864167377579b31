# SPDX-License-Identifier: GPL-2.0
"""The cache: what is pruned, in which order, and who waits for whom."""

import os
from concurrent.futures import ProcessPoolExecutor

import pytest

import cache
from another import Another
from cache import Cache
from errors import NoVerdict

KIB = 1 << 10
# Says what cache.hold() says, "held" while it holds, and lets go when told to.
HOLDER = """
from pathlib import Path
from cache import Cache
with Cache(Path(args[0]), say).hold("kernels", "a", exclusive=args[1] == "exclusive"):
    say("held")
    wait()
say("released")
"""


def holder(here, mode):
    return Another(HOLDER, here.root, mode)


@pytest.fixture
def said():
    return []


@pytest.fixture
def here(tmp_path, said):
    return Cache(tmp_path / "cache", said.append)


def add(here, kind, key, kib, used):
    """An entry of a size in KiB, last used at a time in seconds."""
    path = here.entry(kind, key)
    path.mkdir()
    (path / "data").write_bytes(os.urandom(kib * KIB))
    os.utime(path, (used, used))
    return path


def keys(entries):
    return [entry.path.name for entry in entries]


def test_entries_come_least_recently_used_first(here):
    add(here, "kernels", "old", 4, 100)
    add(here, "images", "new", 4, 300)
    add(here, "sources", "middle", 4, 200)

    assert keys(here.entries()) == ["old", "middle", "new"]


def test_looking_an_entry_up_is_using_it(here):
    add(here, "kernels", "old", 4, 100)
    add(here, "kernels", "new", 4, 200)

    here.entry("kernels", "old")

    assert keys(here.entries()) == ["new", "old"]


def test_pruning_ends_when_the_rest_fits(here):
    for key, used in (("a", 100), ("b", 200), ("c", 300)):
        add(here, "kernels", key, 40, used)

    removed = here.prune(100 * KIB)

    assert keys(removed) == ["a"]
    assert keys(here.entries()) == ["b", "c"]


def test_nothing_is_pruned_below_the_cap(here):
    add(here, "kernels", "a", 40, 100)

    assert here.prune(1 << 30) == []
    assert keys(here.entries()) == ["a"]


def test_the_cap_is_kept_whenever_an_entry_has_come(here):
    add(here, "kernels", "old", 40, 100)
    here.keep_within(100 * KIB)
    add(here, "images", "new", 40, 200)
    add(here, "images", "newer", 40, 300)

    here.keep_within(100 * KIB)

    assert keys(here.entries()) == ["new", "newer"]


def test_a_smaller_cap_is_kept_at_once(here):
    add(here, "kernels", "old", 40, 100)
    here.keep_within(100 * KIB)

    here.keep_within(0)

    assert here.entries() == []


def test_nothing_is_added_up_when_no_entry_has_come(here, monkeypatch):
    add(here, "kernels", "a", 40, 100)
    here.keep_within(100 * KIB)
    monkeypatch.setattr(cache, "_size", lambda path: pytest.fail(f"{path} is added up"))

    here.keep_within(100 * KIB)


@pytest.mark.parametrize("exclusive", [True, False])
def test_what_is_held_stays(here, exclusive):
    add(here, "kernels", "held", 40, 100)
    add(here, "kernels", "free", 40, 200)

    with here.hold("kernels", "held", exclusive=exclusive):
        removed = here.prune(0)

    assert keys(removed) == ["free"]
    assert (here.root / "kernels/held/data").exists()


@pytest.mark.parametrize("suffix", [".half", ".unpacking"])
def test_what_is_being_made_stays(here, suffix):
    """Whoever makes an entry holds it, and works beside its place."""
    add(here, "sources", "held" + suffix, 40, 100)

    with here.hold("sources", "held", exclusive=True):
        here.prune(0)

    assert (here.root / f"sources/held{suffix}/data").exists()


def test_a_linked_entry_loses_the_link_only(here, tmp_path):
    kept = tmp_path / "elsewhere"
    kept.mkdir()
    (kept / "data").write_bytes(b"x")
    here.entry("sources", "link").symlink_to(kept)

    here.prune(-1)

    assert here.entries() == []
    assert (kept / "data").exists()


def test_what_a_cut_off_removal_left_is_removed(here):
    add(here, "kernels", ".removed-1-2", 40, 100)

    here.prune(0)

    assert list((here.root / "kernels").iterdir()) == []


def test_two_runs_prune_at_once(here):
    """Between them they remove every entry once, and none trips over the other."""
    for i in range(300):
        add(here, "images", str(i), 1, i)

    with ProcessPoolExecutor(2) as pool:
        removed = list(pool.map(_pruned, [here.root] * 2))

    assert sorted(removed[0] + removed[1]) == sorted(str(i) for i in range(300))
    assert here.entries() == []


def _pruned(root):
    return keys(Cache(root, print).prune(0))


def test_a_second_process_waits_and_says_so(here):
    with here.hold("kernels", "a", exclusive=True), holder(here, "exclusive") as other:
        assert other.line() == "waiting for another run that holds kernels/a"
        assert not other.ended()


def test_a_second_process_goes_on_when_the_first_lets_go(here):
    with holder(here, "exclusive") as first:
        assert first.line() == "held"
        with holder(here, "exclusive") as second:
            waiting = second.line()
            first.go_on()
            assert [waiting, second.line()] == ["waiting for another run that holds kernels/a", "held"]


def test_this_process_waits_for_another_and_says_so(here, said):
    with holder(here, "exclusive") as other:
        assert other.line() == "held"

        def release(text):
            said.append(text)
            other.go_on()

        with Cache(here.root, release).hold("kernels", "a", exclusive=True):
            assert other.line() == "released"

    assert said == ["waiting for another run that holds kernels/a"]


def test_readers_do_not_wait_for_each_other(here, said):
    with holder(here, "shared") as other:
        assert other.line() == "held"
        with here.hold("kernels", "a", exclusive=False):
            assert not other.ended()

    assert said == []


def test_a_killed_process_holds_nothing(here, said):
    with holder(here, "exclusive") as other:
        assert other.line() == "held"

    with here.hold("kernels", "a", exclusive=True):
        assert said == []


@pytest.mark.parametrize("text, cap", [("1", 1 << 30), ("0.5", 1 << 29), ("0", 0)])
def test_the_cap_is_a_number_of_gib(monkeypatch, text, cap):
    monkeypatch.setenv("MEMSAFE_CACHE_GIB", text)

    assert cache.cap_bytes() == cap


@pytest.mark.parametrize("text", ["", "much", "nan", "inf", "-1"])
def test_any_other_cap_is_no_verdict(monkeypatch, text):
    monkeypatch.setenv("MEMSAFE_CACHE_GIB", text)

    with pytest.raises(NoVerdict, match="MEMSAFE_CACHE_GIB"):
        cache.cap_bytes()


def test_the_cache_is_where_the_user_wants_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert cache.default_root() == tmp_path / "memsafe"
