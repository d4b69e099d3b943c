"""Jobs of the queue ``documents``: files in, Markdown and structure out."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, model_validator

from schemas.artifact import Artifact, FileRef
from schemas.job_spec import JobSpec, RetryPolicy

OutputName = Literal["markdown", "json", "text", "html", "pages", "chunks"]
ChunkStrategy = Literal["hierarchical", "hybrid", "page", "tabular"]
PageLane = Literal["fast", "deep"]
LaneName = Literal["auto", PageLane]
OcrMode = Literal["auto", "force", "never"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileSource(_Part):
    """A file that was uploaded before."""

    file: FileRef
    name: str = Field(default="", max_length=255, description="Its name; the ending is only a hint.")


class UrlSource(_Part):
    """A file that Corral fetches, without redirects, from a public address."""

    url: HttpUrl


class ChunkOptions(_Part):
    """How a document is cut into chunks. No row of a table and no code is ever cut."""

    strategy: ChunkStrategy = Field(
        default="hybrid",
        description="`hierarchical`: a chunk for each block. `hybrid`: blocks under the same headings together. "
        "`page`: those of a page, slide or sheet together. `tabular`: tables by themselves, the rest as `hybrid`.",
    )
    max_tokens: int = Field(default=512, ge=32, le=8_192, description="As `tokenizer` in the output counts them.")
    overlap_tokens: int = Field(default=0, ge=0, le=1_024, description="Of the text before, in whole sentences.")

    @model_validator(mode="after")
    def _leave_room(self) -> Self:
        if self.overlap_tokens * 2 > self.max_tokens:
            raise ValueError("overlap_tokens must be at most half of max_tokens")
        return self


class ConvertOptions(_Part):
    """How to read a document and what to make of it."""

    outputs: frozenset[OutputName] = Field(
        default=frozenset({"markdown", "json", "text"}),
        min_length=1,
        description="`markdown`, `json` (DoclingDocument), `text`, `html`, `pages`: how each page was read, and why, "
        "and `chunks`: the document in pieces for search, as `chunking` says.",
    )
    chunking: ChunkOptions = ChunkOptions()
    lane: LaneName = Field(
        default="auto",
        description="How a PDF is read: `fast` by geometry, `deep` by layout and table models, "
        "`auto` page by page as each needs.",
    )
    ocr: OcrMode = Field(default="auto", description="`auto` reads only the pages that have no text.")
    languages: tuple[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")], ...] = Field(
        default=("en",), min_length=1, max_length=8, description="Of the text, for OCR: ISO 639."
    )
    max_pages: int = Field(default=2_000, ge=1, le=20_000)


class ConvertDocument(_Part):
    """Convert one document."""

    source: FileSource | UrlSource
    options: ConvertOptions = ConvertOptions()


class ConvertedDocument(BaseModel):
    """What a document became. Everything large is a file in the store."""

    model_config = ConfigDict(frozen=True)

    format: str = Field(description="What the bytes are, as sniffed: `pdf`, `docx`, `html`, `csv`, ...")
    title: str
    pages: int = Field(ge=0, description="Slides and sheets count; 0 for a format without pages.")
    lanes: dict[PageLane, int] = Field(default={}, description="How many pages each lane read; of a PDF or image.")
    ocr_pages: tuple[int, ...] = Field(description="The pages that were read by OCR, from 1.")
    ocr_engine: str = Field(default="", description="What read them: `tesseract`, `rapidocr`, or empty for none.")
    source: Artifact
    artifacts: dict[OutputName, Artifact]
    warnings: tuple[str, ...] = ()
    parse_s: float = Field(ge=0, description="How long the parser took, in seconds.")


CONVERT = JobSpec(
    kind="documents.convert",
    payload=ConvertDocument,
    result=ConvertedDocument,
    timeout_s=900,
    retry=RetryPolicy(attempts=3, base_s=10),
)


class ChunkDocument(_Part):
    """Cut one document into chunks: a converted one, by its `json`, or any that can be converted."""

    source: FileSource | UrlSource
    chunking: ChunkOptions = ChunkOptions()


class ChunkedDocument(BaseModel):
    """Where a document's chunks are."""

    model_config = ConfigDict(frozen=True)

    format: str = Field(description="What the bytes are, as sniffed; `docling` for a converted document.")
    title: str
    source: Artifact
    chunks: Artifact
    warnings: tuple[str, ...] = ()
    parse_s: float = Field(ge=0, description="How long the parser took, in seconds.")


CHUNK = JobSpec(
    kind="documents.chunk",
    payload=ChunkDocument,
    result=ChunkedDocument,
    timeout_s=900,
    retry=RetryPolicy(attempts=3, base_s=10),
)
