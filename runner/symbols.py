# SPDX-License-Identifier: GPL-2.0
"""Stack frames to file and line, with the binutils of its target."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from errors import NoVerdict
from proc import Commands
from splat_stack import Frame
from windows import printed


def decode(
    frames: Iterable[Frame],
    vmlinux: Path,
    modules: Mapping[str, Path],
    roots: Iterable[Path],
    prefix: str,
    commands: Commands,
) -> dict[str, str]:
    """Frame as printed to "file:line", relative to that of `roots` which holds
    the file; frames that can't be decoded are left out.  `prefix` is that of the
    target's binutils."""
    wanted: dict[Path, dict[str, Frame]] = {}
    for frame in frames:
        binary = modules.get(frame.module) if frame.module else vmlinux
        if binary and binary.is_file():
            wanted.setdefault(binary, {})[printed(frame)] = frame
    found: dict[str, str] = {}
    for binary, texts in wanted.items():
        found |= _decode_in(binary, texts, prefix, commands)
    tops = [os.path.normpath(root) + os.sep for root in roots]
    return {text: _relative(place, tops) for text, place in found.items()}


def _relative(place: str, tops: Iterable[str]) -> str:
    path = os.path.normpath(place)
    return next((path.removeprefix(top) for top in tops if path.startswith(top)), path)


def _decode_in(
    binary: Path, texts: Mapping[str, Frame], prefix: str, commands: Commands
) -> dict[str, str]:
    try:
        symbols = _text_symbols(commands.output([f"{prefix}nm", str(binary)]))
        places = {
            text: symbols[frame.function] + frame.offset - (frame.kind == "call")
            for text, frame in texts.items()
            if frame.function in symbols
        }
        if not places:
            return {}
        section = ["-j", ".text"] if binary.suffix == ".ko" else []
        addresses = [f"{address:#x}" for address in places.values()]
        lines = commands.output([f"{prefix}addr2line", "-e", str(binary), *section, *addresses])
    except NoVerdict:
        return {}
    return {
        text: line.split(" (discriminator")[0]
        for text, line in zip(places, lines.splitlines())
        if not line.startswith("??")
    }


def _text_symbols(listing: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in listing.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in "tTwW":
            found.setdefault(words[2], int(words[0], 16))
    return found
