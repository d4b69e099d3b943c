"""A form's file is the same however the network cuts the form."""

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.api.multipart import FilePart, first_file
from producers.api.refusal import FormInvalid

BOUNDARY = "corral-test"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def part(content: bytes, *headers: str) -> bytes:
    """Give one part of a form."""
    lines = [f"--{BOUNDARY}", *headers, ""]
    return "\r\n".join(lines).encode() + b"\r\n" + content + b"\r\n"


def form(content: bytes, name: str = "a.bin") -> bytes:
    """Give a form of a field, a file and a field after it."""
    file = part(content, f'Content-Disposition: form-data; name="file"; filename="{name}"', "Content-Type: image/png")
    field = part(b"a value", 'Content-Disposition: form-data; name="note"')
    return field + file + field + f"--{BOUNDARY}--\r\n".encode()


async def pieces(body: bytes, cuts: list[int]) -> AsyncIterator[bytes]:
    """Give a body in pieces."""
    places = sorted({cut % (len(body) + 1) for cut in cuts} | {0, len(body)})
    for start, end in pairwise(places):
        yield body[start:end]


async def read(body: bytes, *cuts: int, content_type: str = TYPE) -> tuple[FilePart, bytes]:
    """Read a form's file."""
    found = await first_file(content_type, pieces(body, list(cuts)))
    return found, b"".join([chunk async for chunk in found.chunks])


@given(st.binary(max_size=2000) | st.just(f"\r\n--{BOUNDARY}x".encode()), st.lists(st.integers(0, 10_000), max_size=40))
async def test_any_cutting_gives_the_same_file(content: bytes, cuts: list[int]) -> None:
    """Bytes, name and type are those of the form, also where a cut goes through a boundary."""
    if f"\r\n--{BOUNDARY}\r\n".encode() in content:
        return
    found, received = await read(form(content), *cuts)
    assert received == content
    assert (found.name, found.media_type) == ("a.bin", "image/png")


async def test_every_byte_alone_gives_the_same_file() -> None:
    """The slowest of callers is understood."""
    content = b"\r\n--corral\r\n" * 9
    _, received = await read(form(content), *range(2000))
    assert received == content


async def test_a_name_is_utf_8() -> None:
    """As browsers send it."""
    found, _ = await read(form(b"x", name="résumé 报告.pdf"))
    assert found.name == "résumé 报告.pdf"


@pytest.mark.parametrize("name", ["\\udcff", 'a\\"b', "", "../../x"])
async def test_an_odd_name_is_no_error(name: str) -> None:
    """What becomes of it is for the store's label to say."""
    found, received = await read(form(b"x", name=name))
    assert isinstance(found.name, str)
    assert received == b"x"


async def test_only_the_first_file_is_read() -> None:
    """A second file is left out and does not mix with the first."""
    both = form(b"one").removesuffix(f"--{BOUNDARY}--\r\n".encode()) + form(b"two")
    _, received = await read(both, 50, 100, 150)
    assert received == b"one"


@pytest.mark.parametrize(
    ("body", "content_type", "why"),
    [
        (b"", TYPE, "no file"),
        (b"rubbish", TYPE, "cannot be read"),
        (form(b"x"), "multipart/form-data", "no boundary"),
        (form(b"x"), f"multipart/form-data; boundary={'b' * 400}", "boundary is too long"),
        (form(b"content")[:-60], TYPE, "in the middle of the file"),
        (part(b"v", 'Content-Disposition: form-data; name="x"') + f"--{BOUNDARY}--\r\n".encode(), TYPE, "no file"),
        (part(b"v", "X-Long: " + "y" * 20_000), TYPE, "cannot be read"),
        (part(b"v", *(f"X-{number}: y" for number in range(2000))), TYPE, "cannot be read"),
    ],
)
async def test_a_broken_form_is_refused(body: bytes, content_type: str, why: str) -> None:
    """The caller is told what is wrong, and nothing else is raised."""
    if b"content" in body:
        body = body[: body.index(b"content") + 3]
    with pytest.raises(FormInvalid, match=re.escape(why)):
        await read(body, 10, 100, content_type=content_type)


@given(st.binary(max_size=500), st.lists(st.integers(0, 500), max_size=10))
async def test_nothing_but_our_own_error_comes_of_rubbish(body: bytes, cuts: list[int]) -> None:
    """Whatever is sent is a file or a refusal."""
    with suppress(FormInvalid):
        found, _ = await read(f"--{BOUNDARY}\r\n".encode() + body, *cuts)
        assert found.media_type
