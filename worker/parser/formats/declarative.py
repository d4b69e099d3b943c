"""A document of a format without pages of its own, through docling's backend for it."""

from io import BytesIO
from pathlib import Path

from docling.backend.abstract_backend import DeclarativeDocumentBackend
from docling.datamodel.base_models import InputFormat
from docling.datamodel.document import InputDocument
from docling_core.types.doc import DoclingDocument

from schemas.errors import DocumentUnreadable
from worker.parser.request import ParseRequest


def by_docling(
    request: ParseRequest, kind: InputFormat, backend: type[DeclarativeDocumentBackend], content: bytes
) -> DoclingDocument:
    """Have a backend read ``content``; it is given no path, so that it finds nothing beside it.

    Raises:
        DocumentUnreadable: the backend cannot open it.
    """
    # Straight to the backend: DocumentConverter would import forty others.
    source = InputDocument(path_or_stream=BytesIO(content), format=kind, backend=backend, filename=stem(request))
    opened = source._backend  # noqa: SLF001 - as docling's own pipelines do
    if not source.valid or not isinstance(opened, DeclarativeDocumentBackend):
        raise DocumentUnreadable(f"the {kind.value} is damaged: export it again")
    return opened.convert()


def stem(request: ParseRequest) -> str:
    """Give a document's name without its ending."""
    return Path(request.name).stem or "document"
