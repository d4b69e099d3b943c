"""The formats that the parser reads."""

from enum import StrEnum

_OFFICE = "application/vnd.openxmlformats-officedocument"


class Format(StrEnum):
    """A format by its short name; ``media_type`` is its registered one."""

    PDF = "pdf"
    DOCX = "docx"
    PPTX = "pptx"
    XLSX = "xlsx"
    EPUB = "epub"
    HTML = "html"
    JATS = "jats"
    MARKDOWN = "markdown"
    ASCIIDOC = "asciidoc"
    LATEX = "latex"
    CSV = "csv"
    JSON = "json"
    DOCLING = "docling"
    MAIL = "mail"
    TEXT = "text"
    PNG = "png"
    JPEG = "jpeg"
    TIFF = "tiff"
    WEBP = "webp"

    @property
    def media_type(self) -> str:
        """The registered media type."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {
    Format.PDF: "application/pdf",
    Format.DOCX: f"{_OFFICE}.wordprocessingml.document",
    Format.PPTX: f"{_OFFICE}.presentationml.presentation",
    Format.XLSX: f"{_OFFICE}.spreadsheetml.sheet",
    Format.EPUB: "application/epub+zip",
    Format.HTML: "text/html",
    Format.JATS: "application/jats+xml",
    Format.MARKDOWN: "text/markdown",
    Format.ASCIIDOC: "text/asciidoc",
    Format.LATEX: "text/x-tex",
    Format.CSV: "text/csv",
    Format.JSON: "application/json",
    Format.DOCLING: "application/json",
    Format.MAIL: "message/rfc822",
    Format.TEXT: "text/plain",
    Format.PNG: "image/png",
    Format.JPEG: "image/jpeg",
    Format.TIFF: "image/tiff",
    Format.WEBP: "image/webp",
}
