"""Takes the first file out of a multipart form while the form is still coming in."""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus

from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header

from producers.problem import Refusal

_LONGEST_HEADER_BYTES = 8 * 1024


@dataclass(frozen=True)
class FilePart:
    """A file of a form: what the form says about it, and its bytes as they come."""

    name: str
    media_type: str
    chunks: AsyncIterator[bytes]


@dataclass
class _Form:
    """What the parser has seen: it calls these methods as it goes through the form."""

    headers: dict[str, str] = field(default_factory=dict)
    blocks: deque[bytes] = field(default_factory=deque)
    in_file: bool = False
    ended: bool = False
    _name: bytes = b""
    _value: bytes = b""

    def on_part_begin(self) -> None:
        if not self.ended:
            self.headers = {}

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._bound()

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._bound()

    def on_header_end(self) -> None:
        if not self.ended:
            self.headers[self._name.decode("latin-1").lower()] = self._value.decode("utf-8", "replace")
        self._name = self._value = b""

    def on_headers_finished(self) -> None:
        self.in_file = not self.ended and self.filename is not None

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self.in_file:
            self.blocks.append(data[start:end])

    def on_part_end(self) -> None:
        self.ended = self.ended or self.in_file
        self.in_file = False

    @property
    def filename(self) -> str | None:
        """The part's file name; None for a field that is not a file."""
        _, options = parse_options_header(self.headers.get("content-disposition", ""))
        name = options.get(b"filename")
        return None if name is None else name.decode("utf-8", "replace").replace("\\", "/").rpartition("/")[2]

    def _bound(self) -> None:
        if len(self._name) + len(self._value) > _LONGEST_HEADER_BYTES:
            raise MultipartParseError("a part's header is too long")


async def first_file(content_type: str, chunks: AsyncIterator[bytes]) -> FilePart:
    """Read a form up to its first file; the file's bytes come as they are read from the part.

    Raises:
        Refusal: 422 when the form is broken or has no file.
    """
    _, options = parse_options_header(content_type)
    if not (boundary := options.get(b"boundary")):
        raise _broken("the form has no boundary")
    form = _Form()
    names = ("on_part_begin", "on_header_field", "on_header_value", "on_header_end")
    names += ("on_headers_finished", "on_part_data", "on_part_end")
    parser = MultipartParser(boundary, {name: getattr(form, name) for name in names})  # type: ignore[arg-type]
    async for chunk in chunks:
        _feed(parser, chunk)
        if form.in_file or form.ended:
            media_type = form.headers.get("content-type", "application/octet-stream")
            return FilePart(form.filename or "", media_type, _rest(form, parser, chunks))
    raise _broken("the form has no file; send one in the field 'file'")


async def _rest(form: _Form, parser: MultipartParser, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while form.blocks:
        yield form.blocks.popleft()
    async for chunk in chunks:
        _feed(parser, chunk)
        while form.blocks:
            yield form.blocks.popleft()
    if not form.ended:
        raise _broken("the form ends in the middle of the file; send it again")


def _feed(parser: MultipartParser, chunk: bytes) -> None:
    try:
        parser.write(chunk)
    except MultipartParseError as error:
        raise _broken("the form cannot be read as multipart/form-data") from error


def _broken(detail: str) -> Refusal:
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "form_invalid", detail)
