# SPDX-License-Identifier: GPL-2.0
"""The guest's side of the results port, as bytes: see runner/guest/init.h.

    <type> <job> <length>\n<length bytes of payload>\n
"""

from __future__ import annotations

from dataclasses import dataclass

HEAD_LIMIT = 256
PAYLOAD_LIMIT = 1 << 20


@dataclass(frozen=True)
class Frame:
    """One message of the guest's init."""

    type: str
    job: str
    payload: bytes

    def words(self) -> list[str]:
        """The payload as words."""
        return self.payload.decode(errors="replace").split()

    def fields(self) -> dict[str, str]:
        """The payload as lines of "key value"."""
        lines = self.payload.decode(errors="replace").splitlines()
        return {key: value for key, _, value in (line.partition(" ") for line in lines)}


class BadFrame(ValueError):
    """Something other than init wrote to the port."""


class FrameReader:
    """Feed bytes in, take whole frames out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Frames completed by `data`.  BadFrame when the stream is no protocol."""
        self._buffer += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        newline = self._buffer.find(b"\n", 0, HEAD_LIMIT)
        if newline < 0:
            if len(self._buffer) >= HEAD_LIMIT:
                raise BadFrame("a frame's head does not end")
            return None
        words = self._buffer[:newline].decode(errors="replace").split(" ")
        if len(words) != 3 or not words[2].isdecimal() or int(words[2]) > PAYLOAD_LIMIT:
            raise BadFrame(f"no frame: {' '.join(words)[:80]!r}")
        end = newline + 1 + int(words[2])
        if len(self._buffer) <= end:
            return None
        if self._buffer[end : end + 1] != b"\n":
            raise BadFrame(f"a {words[0]} frame does not end where it says")
        payload = bytes(self._buffer[newline + 1 : end])
        del self._buffer[: end + 1]
        return Frame(words[0], words[1], payload)
