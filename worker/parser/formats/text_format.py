"""Which kind of text a file is, from its bytes; its name only settles what any text could be."""

import re
from pathlib import PurePath

from schemas.errors import DocumentUnsupported
from worker.parser.formats.format import Format

_BY_ENDING = {
    ".md": Format.MARKDOWN,
    ".markdown": Format.MARKDOWN,
    ".mdown": Format.MARKDOWN,
    ".mkd": Format.MARKDOWN,
    ".adoc": Format.ASCIIDOC,
    ".asciidoc": Format.ASCIIDOC,
    ".asc": Format.ASCIIDOC,
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".tex": Format.LATEX,
    ".latex": Format.LATEX,
    ".json": Format.JSON,
}
_PROLOG = rb"\A\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,4096}?-->\s*)*"
_HTML = re.compile(_PROLOG + rb"<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE | re.DOTALL)
# The Journal Article Tag Suite names itself in its document type.
_JATS = re.compile(_PROLOG + rb"<!DOCTYPE\s+article\s[^>\[]{0,512}?JATS-(?:journalpublishing|archive)", re.DOTALL)
_LATEX = re.compile(rb"^\s*\\(?:documentclass|documentstyle)\b", re.MULTILINE)
# RFC 5322: fields first; a mail program writes at least two of these.
_FIELDS = re.compile(rb"\A(?:[!-9;-~]+:[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*){2,}")
_OF_MAIL = re.compile(
    rb"^(?:from|date|message-id|received|mime-version|return-path|delivered-to):", re.IGNORECASE | re.MULTILINE
)
_ENOUGH = 2
# How docling begins the JSON of a document.
_DOCLING = re.compile(rb'\s*\{\s*"schema_name"\s*:\s*"DoclingDocument"')
_BY_BEGINNING = {_HTML: Format.HTML, _JATS: Format.JATS, _DOCLING: Format.DOCLING}


def text_format(head: bytes, name: str) -> Format:
    """Tell the format of a text by its first bytes, in any encoding that leaves ASCII alone.

    Raises:
        DocumentUnsupported: XML of a kind that no parser here reads.
    """
    for pattern, found in _BY_BEGINNING.items():
        if pattern.match(head):
            return found
    if head.lstrip().startswith(b"<?xml"):
        raise DocumentUnsupported("xml is not read, but for html and jats: convert it to one of them")
    return _BY_ENDING.get(PurePath(name).suffix.lower()) or _guessed(head)


def _guessed(head: bytes) -> Format:
    if _LATEX.search(head):
        return Format.LATEX
    fields = _FIELDS.match(head)
    if fields and len(_OF_MAIL.findall(fields[0])) >= _ENOUGH:
        return Format.MAIL
    return Format.TEXT
