"""Server-sent events: however the bytes are cut, the same events come out, then the same error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.gateway.upstream.sse import Events, Garbage

LINES = st.sampled_from(["", ":", ": ping", "event: x", "id: 1", "retry: 5"]) | st.sampled_from(
    ["", "data", "data:", "data: a", "data:b", "data:  c", "data: grün 😀"]
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=12).map(
    lambda lines: "".join(line + end for line, end in lines)
)


def events(pieces, most_bytes=1000):
    """(events, the error's words or None)"""
    parser, found = Events(most_bytes), []
    try:
        for piece in [*pieces, b""]:
            found += parser.feed(piece)
    except Garbage as garbage:
        return found, str(garbage)
    return found, None


def read_by_the_book(text):
    """The specification's algorithm, on the whole text."""
    found, data = [], []
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]
    for line in lines:
        name, _, value = line.partition(":")
        if not line:
            if "\n".join(data):
                found.append("\n".join(data).encode())
            data = []
        elif name == "data":
            data.append(value.removeprefix(" "))
    return found


@given(st.sampled_from(["", "\ufeff"]), STREAMS, st.data())
def test_any_cut_gives_the_events_of_the_specification(mark, text, data):
    content = (mark + text).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=9)))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    expected = read_by_the_book(mark + text)
    assert events([p for p in pieces if p]) == (expected, None)
    assert events([bytes([byte]) for byte in content]) == (expected, None)


@given(st.data())
def test_garbage_is_an_error_after_the_same_events_however_it_is_cut(data):
    content = b"data: 1\n\ndata: 2\n\n<html>\n\ndata: 3\n\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=5)))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    found, error = events([p for p in pieces if p])
    assert found == [b"1", b"2"]
    assert error == "a line that is no field of an event"


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("content", [b"data: " + b"x" * 5000, b"data: xxxx\n" * 500])
def test_an_event_without_end_is_not_kept_without_end(content, size):
    pieces = [content[i : i + size] for i in range(0, len(content), size)]
    assert events(pieces) == ([], "an event of more than 1000 bytes")


def test_comments_without_end_and_large_streams_of_small_events_are_fine():
    assert events([b": ping\n\n" * 5000])[1] is None
    assert len(events([b"data: x\n\n" * 5000])[0]) == 5000


@given(st.binary(max_size=60))
def test_no_bytes_break_it(content):
    found, _ = events([content[i : i + 3] for i in range(0, len(content), 3)])
    assert all(isinstance(event, bytes) and event for event in found)
