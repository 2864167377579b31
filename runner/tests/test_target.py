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

    assert ("" in found.guests) != found.kunit_py


MACHINE = """
arch = "x"
kernel = "k"
modules = ["main.ko"]
[timeouts]
job = 1
[qemu]
binary = "q"
machine = "small"
bus = "device"
cpu = "max"
cpus = 2
memory_mb = 64
cmdline = "quiet"
"""


@pytest.fixture
def other(tmp_path, monkeypatch):
    """A target of one machine and whatever kinds of guests a test gives it."""

    def load(guests):
        (tmp_path / "targets").mkdir()
        (tmp_path / "targets/other.toml").write_text(MACHINE + guests)
        monkeypatch.setattr(target, "CONFIGS", tmp_path)
        return target.load("other")

    return load


def test_a_kind_of_guest_is_the_main_one_but_for_what_it_says(other):
    found = other('[guests.big]\nmachine = "big"\nargs = ["-device", "edu"]\ncmdline_add = "loud"\n')

    main, big = found.guests[""].qemu, found.guests["big"].qemu
    assert (main.machine, main.args, main.cmdline) == ("small", (), "quiet")
    assert (big.machine, big.args, big.cmdline) == ("big", ("-device", "edu"), "quiet loud")
    assert (big.binary, big.memory_mb) == ("q", 64)


def test_a_kind_of_guest_has_the_modules_of_the_main_one_or_its_own(other):
    found = other('[guests.same]\n[guests.own]\nmodules = ["other.ko enable=1"]\nalone = true\nleaks = false\n')

    assert found.guests["same"].modules == ("main.ko",)
    assert (found.guests["same"].alone, found.guests["same"].leaks) == (False, True)
    assert found.guests["own"].modules == ("other.ko enable=1",)
    assert (found.guests["own"].alone, found.guests["own"].leaks) == (True, False)


def test_a_job_for_a_guest_that_there_is_not_goes_to_the_main_one(other):
    found = other("")

    assert found.guest("big") == found.guest("")


def test_another_kernel_of_the_distribution_is_asked_for_by_its_version():
    found = target.load("x86_64-kasan@6.1")

    assert (found.name, found.tree) == ("x86_64-kasan@6.1", "linux-source-6.1")
    assert found.kernel == target.load("x86_64-kasan").kernel


@pytest.mark.parametrize("name", ["x86_64-kasan@", "x86_64-kasan@six", "x86_64-kasan@6.1.2", "@6.1"])
def test_what_is_no_version_is_no_target(name):
    with pytest.raises(UsageError, match="no target"):
        target.load(name)


def test_an_older_kernel_gets_what_came_after_it(tmp_path, monkeypatch):
    (tmp_path / "before").mkdir()
    for version in ("6.4", "6.10", "5.9"):
        (tmp_path / f"before/{version}.config").write_text(f"CONFIG_OF={version}\n")
    monkeypatch.setattr(target, "CONFIGS", tmp_path)

    assert target.older_text("6.1.192") == "CONFIG_OF=6.10\n\nCONFIG_OF=6.4\n"
    assert target.older_text("6.9") == "CONFIG_OF=6.10\n"
    assert target.older_text("6.12.117") == ""


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


def test_an_older_kernel_starts_otherwise():
    found = target.load("x86_64-kasan@6.1")

    assert target.for_version(found, "6.1.192").image == "arch/x86/boot/bzImage"
    assert target.for_version(found, "6.1.192").make_targets == ("bzImage", "modules")
    assert target.for_version(found, "6.12.117") == found
