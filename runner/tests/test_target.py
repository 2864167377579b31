# SPDX-License-Identifier: GPL-2.0
"""Targets: every file loads, and what is wrong with one is said by name."""

import pytest

import target
from errors import NoVerdict, UsageError

ALL = target.names()


def test_the_default_target_is_there():
    assert "x86_64-kasan" in ALL


@pytest.mark.parametrize("name", ALL)
def test_a_target_loads_under_its_own_name(name):
    found = target.load(name)

    assert found.name == name
    assert found.timeouts.job > 0 and found.timeouts.boot > 0


@pytest.mark.parametrize("name", ALL)
def test_a_target_has_a_machine_or_is_run_by_kunit_py(name):
    found = target.load(name)

    assert (found.qemu is None) == found.kunit_py


@pytest.mark.parametrize("name", ALL)
def test_every_fragment_exists_and_asks_for_something(name):
    for fragment in target.load(name).fragments:
        text = (target.CONFIGS / f"{fragment}.config").read_text()
        assert target.requested(text), fragment


@pytest.mark.parametrize("name", ALL)
def test_fragments_of_a_target_do_not_contradict_each_other(name):
    wanted = {}
    for fragment in target.load(name).fragments:
        text = (target.CONFIGS / f"{fragment}.config").read_text()
        for option, value in target.requested(text).items():
            assert wanted.setdefault(option, (value, fragment))[0] == value, (option, fragment)


@pytest.mark.parametrize("path", sorted(target.CONFIGS.rglob("*.config")), ids=lambda path: path.stem)
def test_every_line_of_a_fragment_is_an_option_or_a_comment(path):
    for line in path.read_text().splitlines():
        name = line.partition("=")[0]
        option = name.startswith("CONFIG_") and name.replace("_", "").isalnum() and "=" in line
        assert option or line.startswith("#") or not line, line


@pytest.mark.parametrize("name, near", [
    ("x86_64-kasam", "x86_64-kasan"),
    ("x86-kasan", "x86_64-kasan"),
    ("kasan", "um-kasan"),
    ("../targets/x86_64-kasan", "x86_64-kasan"),
])  # fmt: skip
def test_an_unknown_target_names_the_nearest(name, near):
    with pytest.raises(UsageError) as caught:
        target.load(name)

    assert f"no target {name!r}; nearest: " in str(caught.value)
    assert near in str(caught.value)


def test_a_name_like_none_is_told_all():
    with pytest.raises(UsageError) as caught:
        target.load("\0")

    assert str(caught.value).endswith(", ".join(ALL))


@pytest.mark.parametrize("text", [
    "arch = ", 'arch = "x"\nkernel = "k"\n[timeouts]\n',
    'arch = "x"\nkernel = "k"\n[timeouts]\njob = 1\nsoon = 2\n',
    'arch = "x"\nkernel = "k"\nkernal = "k"\n[timeouts]\njob = 1\n',
    'arch = "x"\nkernel = "k"\n', 'arch = "x"\nkernel = "k"\n[timeouts]\njob = 1\n[qemu]\nbinary = "q"\n',
])  # fmt: skip
def test_a_wrong_target_file_is_named(tmp_path, monkeypatch, text):
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets/wrong.toml").write_text(text)
    monkeypatch.setattr(target, "CONFIGS", tmp_path)

    with pytest.raises(UsageError, match=r"^wrong\.toml: "):
        target.load("wrong")


FINAL = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_N=12\nCONFIG_S=\"text\"\n"


@pytest.mark.parametrize("wanted", [
    "CONFIG_A=y", "# CONFIG_B is not set", "# CONFIG_ABSENT is not set", "CONFIG_N=12", 'CONFIG_S="text"',
    "CONFIG_A=n\nCONFIG_A=y", "CONFIG_B=n",
])  # fmt: skip
def test_what_the_final_config_keeps_is_fine(wanted):
    target.check_config(target.requested(wanted), FINAL)


@pytest.mark.parametrize("wanted, lost", [
    ("CONFIG_B=y", "CONFIG_B: wanted y, is n"),
    ("CONFIG_ABSENT=y", "CONFIG_ABSENT: wanted y, is n"),
    ("CONFIG_A=m", "CONFIG_A: wanted m, is y"),
    ("# CONFIG_A is not set", "CONFIG_A: wanted n, is y"),
    ("CONFIG_N=13", "CONFIG_N: wanted 13, is 12"),
    ("CONFIG_AB=y", "CONFIG_AB: wanted y, is n"),
])  # fmt: skip
def test_a_lost_option_is_named_with_both_values(wanted, lost):
    with pytest.raises(NoVerdict) as caught:
        target.check_config(target.requested(f"CONFIG_A=y\n{wanted}"), FINAL)

    assert str(caught.value).splitlines()[1:] == [f"  {lost}"]


def test_every_lost_option_is_named():
    with pytest.raises(NoVerdict) as caught:
        target.check_config({"CONFIG_X": "y", "CONFIG_Y": "y", "CONFIG_A": "y"}, FINAL)

    assert len(str(caught.value).splitlines()) == 3
