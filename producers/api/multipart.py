"""Takes the first file out of a multipart form while the form is still coming in."""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import parse_options_header

from producers.api.file_label import DEFAULT_TYPE
from producers.api.refusal import FormInvalid

_LONGEST_HEADER_BYTES = 8 * 1024
_CALLBACKS = (
    "on_part_begin",
    "on_header_field",
    "on_header_value",
    "on_header_end",
    "on_headers_finished",
    "on_part_data",
    "on_part_end",
)


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
            # Byte for byte, for the parser of options takes texts as Latin-1; the name in it is UTF-8.
            self.headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1")
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
        return None if name is None else name.decode("utf-8", "replace")

    def _bound(self) -> None:
        if len(self._name) + len(self._value) > _LONGEST_HEADER_BYTES:
            raise MultipartParseError("a part's header is too long")


async def first_file(content_type: str, chunks: AsyncIterator[bytes]) -> FilePart:
    """Read a form up to its first file; the file's bytes come as they are read from the part.

    Raises:
        FormInvalid: the form is broken or has no file.
    """
    _, options = parse_options_header(content_type)
    if not (boundary := options.get(b"boundary")):
        raise FormInvalid("the form has no boundary")
    form = _Form()
    callbacks = {name: getattr(form, name) for name in _CALLBACKS}
    try:
        parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]  # a dict of the right names
    except FormParserError as error:
        raise FormInvalid("the form's boundary is too long") from error
    async for chunk in chunks:
        _feed(parser, chunk)
        if form.in_file or form.ended:
            media_type = form.headers.get("content-type", DEFAULT_TYPE)
            return FilePart(form.filename or "", media_type, _rest(form, parser, chunks))
    raise FormInvalid("the form has no file; send one in the field 'file'")


async def _rest(form: _Form, parser: MultipartParser, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while form.blocks:
        yield form.blocks.popleft()
    async for chunk in chunks:
        _feed(parser, chunk)
        while form.blocks:
            yield form.blocks.popleft()
    if not form.ended:
        raise FormInvalid("the form ends in the middle of the file; send it again")


def _feed(parser: MultipartParser, chunk: bytes) -> None:
    try:
        parser.write(chunk)
    except MultipartParseError as error:
        raise FormInvalid("the form cannot be read as multipart/form-data") from error
