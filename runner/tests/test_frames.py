# SPDX-License-Identifier: GPL-2.0
"""The results port's frames: whole ones in any pieces, and everything else refused."""

import random

import pytest

import frames
from frames import BadFrame, Frame, FrameReader


def framed(kind, job, payload):
    return b"%s %s %d\n%s\n" % (kind.encode(), job.encode(), len(payload), payload)


GOOD = [
    Frame("hello", "-", b"release 6.12.0\ntaint 0\n"),
    Frame("out", "guard_page", b""),
    Frame("out", "guard_page", b"end guard_page 4\nexit\n\0\xff\n"),
    Frame("end", "guard_page", b"exit 0 uptime_ms 12 taint 0 dropped 0\n"),
]
STREAM = b"".join(framed(frame.type, frame.job, frame.payload) for frame in GOOD)


def test_frames_come_out_as_they_went_in():
    assert FrameReader().feed(STREAM) == GOOD


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_frames_may_arrive_in_pieces(size):
    reader = FrameReader()

    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]

    assert [frame for piece in pieces for frame in reader.feed(piece)] == GOOD


def test_a_frame_is_held_back_until_its_last_byte():
    reader = FrameReader()

    assert reader.feed(framed("out", "a", b"text")[:-1]) == []
    assert reader.feed(b"\n") == [Frame("out", "a", b"text")]


def test_a_payload_that_looks_like_frames_is_a_payload():
    inner = framed("end", "victim", b"exit 0")

    assert FrameReader().feed(framed("out", "faker", inner)) == [Frame("out", "faker", inner)]


@pytest.mark.parametrize("data", [
    b"ok 1 guard_page.write_faults\n",
    b"out guard_page\n",
    b"out guard_page -1\n",
    b"out guard_page 1x\n",
    b"out  guard_page 1\n",
    "out guard_page \N{SUPERSCRIPT TWO}\nxx\n".encode(),
    b"out guard_page %d\n" % (frames.PAYLOAD_LIMIT + 1),
    b"out guard_page " + b"9" * 200 + b"\n",
    b"out guard_page 1\nxx\n",
    b"\xff" * frames.HEAD_LIMIT,
], ids=lambda data: repr(data[:30]))  # fmt: skip
def test_what_is_no_frame_is_refused(data):
    with pytest.raises(BadFrame):
        FrameReader().feed(data)


@pytest.mark.parametrize("seed", range(20))
def test_damage_is_refused_or_waits_but_nothing_else(seed):
    chance = random.Random(seed)
    for _ in range(200):
        data = bytearray(STREAM)
        for _ in range(chance.randrange(1, 5)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            FrameReader().feed(bytes(data))
        except BadFrame:
            pass


def test_fields_are_lines_of_key_and_value():
    frame = Frame("hello", "-", b"release 6.12.0 x\nempty\n\xff 1\n")

    assert frame.fields() == {"release": "6.12.0 x", "empty": "", "\N{REPLACEMENT CHARACTER}": "1"}


def test_words_are_those_of_the_payload():
    assert GOOD[3].words() == ["exit", "0", "uptime_ms", "12", "taint", "0", "dropped", "0"]
