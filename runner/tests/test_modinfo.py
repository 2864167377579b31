# SPDX-License-Identifier: GPL-2.0
"""What a module says of itself, and the order in which modules are loaded."""

import pytest

import modinfo


def module(depends="", vermagic="6.12.0 SMP "):
    text = f"\0license=GPL\0depends={depends}\0name=x\0vermagic={vermagic}\0"
    return b"\x7fELF" + text.encode() + b"tail"


def test_the_fields_of_a_module_are_read():
    says = modinfo.fields(module("drm,snd-pcm"))

    assert says == {"depends": "drm,snd-pcm", "name": "x", "vermagic": "6.12.0 SMP "}


@pytest.mark.parametrize("text", [b"", b"vermagic=6.12", b"\0vermagic=6.12"])
def test_what_is_no_module_says_nothing(text):
    assert modinfo.fields(text) == {}


def test_a_module_comes_after_all_that_it_needs():
    found = {
        "vkms.ko": module("drm_shmem_helper,drm"), "drm.ko": module(),
        "drm_shmem_helper.ko": module("drm"), "snd-dummy.ko": module("snd-pcm"),
        "snd-pcm.ko": module("not_there"),
    }  # fmt: skip

    lines = modinfo.load_order(found).splitlines()

    assert lines == [
        "drm drm.ko",
        "drm_shmem_helper drm.ko drm_shmem_helper.ko",
        "snd_dummy snd-pcm.ko snd-dummy.ko",
        "snd_pcm snd-pcm.ko",
        "vkms drm.ko drm_shmem_helper.ko vkms.ko",
    ]
