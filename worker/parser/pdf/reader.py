"""Reader of PDF, and of images as PDF pages."""

from io import BytesIO
from pathlib import Path

import pymupdf
from docling.datamodel.base_models import InputFormat
from docling.datamodel.document import InputDocument
from PIL import Image, ImageSequence

from schemas.errors import DocumentEncrypted, DocumentTooLarge, DocumentUnreadable
from worker.parser.ocr.text_layer import OcrPass
from worker.parser.pdf.backend import MuPdfDocumentBackend
from worker.parser.pdf.page_lane import PageLanes
from worker.parser.pdf.pipeline import SerialPdfPipeline
from worker.parser.progress_file import write_progress
from worker.parser.reading import Reading, title_of
from worker.parser.request import ParseRequest

_Facts = tuple[str, tuple[str, ...]]

pymupdf.TOOLS.mupdf_display_errors(on=False)
pymupdf.TOOLS.mupdf_display_warnings(on=False)


def read_pdf(request: ParseRequest) -> Reading:
    """Read a PDF.

    Raises:
        DocumentEncrypted: it needs a password.
        DocumentUnreadable: damaged beyond repair.
        DocumentTooLarge: more pages than `max_pages`.
    """
    content = request.document.read_bytes()
    stated, warnings = _check(request, content)
    return _convert(request, content, stated, warnings)


def read_image(request: ParseRequest) -> Reading:
    """Read an image as a document of one page per frame.

    Raises:
        DocumentUnreadable: the image is damaged.
        DocumentTooLarge: too many pixels or frames.
    """
    _check_image(request)
    return _convert_image(request, request.document.read_bytes())


def read_webp(request: ParseRequest) -> Reading:
    """Read a WebP image, which MuPDF does not know, as it does others; what is transparent becomes white.

    Raises:
        DocumentUnreadable, DocumentTooLarge: as ``read_image``.
    """
    _check_image(request)
    content = BytesIO()
    try:
        with Image.open(request.document) as image:
            frames = [_on_white(frame) for frame in ImageSequence.Iterator(image)]
    except (OSError, ValueError, SyntaxError) as error:
        raise DocumentUnreadable("the image is damaged: export it again") from error
    frames[0].save(content, format="TIFF", save_all=True, append_images=frames[1:])
    return _convert_image(request, content.getvalue())


def _on_white(frame: Image.Image) -> Image.Image:
    seen = frame.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")


def _convert_image(request: ParseRequest, content: bytes) -> Reading:
    try:
        with pymupdf.open(stream=content) as image:
            content = image.convert_to_pdf()
    except (RuntimeError, pymupdf.mupdf.FzErrorBase) as error:
        raise DocumentUnreadable("the image is damaged: export it again") from error
    return _convert(request, content, "", ())


def _convert(request: ParseRequest, content: bytes, stated: str, warnings: tuple[str, ...]) -> Reading:
    source = InputDocument(
        path_or_stream=BytesIO(content),
        format=InputFormat.PDF,
        backend=MuPdfDocumentBackend,
        filename=Path(request.name).name or "document.pdf",
    )
    total = source.page_count
    write_progress(request.scratch, 0, total)
    backend = source._backend  # noqa: SLF001 - as docling's own pipelines do
    if not isinstance(backend, MuPdfDocumentBackend):
        raise DocumentUnreadable("the pdf is damaged beyond repair: export it again")
    ocr, lanes = OcrPass(request), PageLanes(request.options.lane, content, backend.document)
    pipeline = SerialPdfPipeline(lanes, ocr, lambda done: write_progress(request.scratch, done, total))
    result = pipeline.execute(source, raises_on_error=True)
    warnings += pipeline.warnings + ocr.warnings
    if len(pipeline.unreadable) == total:
        raise DocumentUnreadable("no page of the document can be read: export it again")
    if not result.document.texts and not result.document.tables:
        warnings += ("no text was found",)
    return Reading(
        document=result.document,
        title=title_of(result.document, stated),
        pages=total,
        ocr_pages=tuple(ocr.pages),
        ocr_engine=ocr.engine,
        page_reports=tuple(lanes.reports),
        warnings=warnings,
    )


def _check(request: ParseRequest, content: bytes) -> _Facts:
    try:
        with pymupdf.open(stream=content, filetype="pdf") as document:
            if document.needs_pass:
                raise DocumentEncrypted("the document needs a password: save it without one")
            _check_pages(document.page_count, request)
            warnings = ("the file is damaged and was repaired: parts may be missing",) if document.is_repaired else ()
            return str((document.metadata or {}).get("title") or ""), warnings
    except (RuntimeError, pymupdf.mupdf.FzErrorBase) as error:
        raise DocumentUnreadable("the pdf is damaged beyond repair: export it again") from error


def _check_pages(pages: int, request: ParseRequest) -> None:
    if pages == 0:
        raise DocumentUnreadable("the document has no pages: export it again")
    if pages > request.options.max_pages:
        raise DocumentTooLarge(
            f"the document has {pages} pages, more than max_pages = {request.options.max_pages}: split it"
        )


def _check_image(request: ParseRequest) -> None:
    try:
        with Image.open(request.document) as image:
            frames, pixels = getattr(image, "n_frames", 1), image.width * image.height
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DocumentUnreadable("the image is damaged or absurdly large: export it again") from error
    _check_pages(frames, request)
    if pixels > request.limits.max_pixels:
        raise DocumentTooLarge(f"the image has over {request.limits.max_pixels} pixels: scale it down")
