"""A document as Markdown: docling's, with no word lost and no character escaped that means nothing."""

import re
from pathlib import PurePath
from typing import Any

from docling_core.transforms.serializer.base import BaseDocSerializer, BaseTextSerializer, SerializationResult
from docling_core.transforms.serializer.common import create_ser_result
from docling_core.transforms.serializer.markdown import (
    MarkdownDocSerializer,
    MarkdownParams,
    MarkdownTextSerializer,
)
from docling_core.types.doc import ContentLayer, DoclingDocument, Formatting, FormulaItem, TextItem
from pydantic import AnyUrl

# CommonMark: "<" opens a tag, "&" an entity, only when what follows fits; everywhere else both are
# themselves. An underscore inside a word is one, too.
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_ENTITY = re.compile(r"&(?=#?[A-Za-z0-9]+;)")
_UNDERSCORE = re.compile(r"(?<![\w\\])_|(?<!\\)_(?!\w)")


# What a reader sees; and a speaker's or a reviewer's notes, which say what a slide or a cell does not.
SHOWN = {ContentLayer.BODY, ContentLayer.NOTES}


class _TextSerializer(MarkdownTextSerializer):
    """Docling's, but a formula that no model has read stays as its characters."""

    def serialize(
        self,
        *,
        item: TextItem,
        doc_serializer: BaseDocSerializer,
        doc: DoclingDocument,
        is_inline_scope: bool = False,
        in_table_cell: bool = False,
        visited: set[str] | None = None,
        **kwargs: Any,  # noqa: ANN401 - the base class passes its parameters this way
    ) -> SerializationResult:
        if isinstance(item, FormulaItem) and not item.text and item.orig:
            return create_ser_result(text=escaped(item.orig), span_source=item)
        return super().serialize(
            item=item,
            doc_serializer=doc_serializer,
            doc=doc,
            is_inline_scope=is_inline_scope,
            in_table_cell=in_table_cell,
            visited=visited,
            **kwargs,
        )


class _DocSerializer(MarkdownDocSerializer):
    """Docling's, but for the escapes."""

    text_serializer: BaseTextSerializer = _TextSerializer()

    def post_process(
        self,
        text: str,
        *,
        escape_html: bool = True,
        escape_underscores: bool = True,
        formatting: Formatting | None = None,
        hyperlink: AnyUrl | PurePath | None = None,
        **kwargs: Any,  # noqa: ANN401 - as above
    ) -> str:
        return super().post_process(
            escaped(text) if escape_html and escape_underscores else text,
            escape_html=False,
            escape_underscores=False,
            formatting=formatting,
            hyperlink=hyperlink,
            **kwargs,
        )


def markdown(document: DoclingDocument) -> str:
    """Write a document as Markdown, with the words inside its pictures and its notes."""
    return serializer(document).serialize().text


def serializer(document: DoclingDocument) -> BaseDocSerializer:
    """Give what writes a document, or one item of it, as Markdown."""
    params = MarkdownParams(traverse_pictures=True, compact_tables=True, layers=SHOWN)
    return _DocSerializer(doc=document, params=params)


def escaped(text: str) -> str:
    """Escape what a reader of Markdown would take for markup."""
    return _UNDERSCORE.sub(r"\_", _TAG.sub("&lt;", _ENTITY.sub("&amp;", text)))
