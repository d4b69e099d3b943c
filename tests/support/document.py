"""Documents that tests make on the spot, and a parse of them in one call."""

import zipfile
from pathlib import Path

import pymupdf

from schemas.job_status import Progress
from schemas.jobs.documents import ConvertOptions
from tests.support.make_samples import SAMPLES
from worker.ports import DocumentParser, ParsedDocument


async def parse(
    parser: DocumentParser,
    document: Path,
    *,
    name: str = "",
    options: ConvertOptions | None = None,
    seen: list[Progress] | None = None,
) -> ParsedDocument:
    """Parse into a folder beside nothing else; ``seen`` collects the progress."""
    progress = seen if seen is not None else []
    folder = document.parent / f"{document.name}.out"
    folder.mkdir(exist_ok=True)

    async def report(newest: Progress) -> None:
        progress.append(newest)

    return await parser.parse(
        document, name=name or document.name, options=options or ConvertOptions(), folder=folder, report=report
    )


def sample(name: str, folder: Path) -> Path:
    """Give a copy of a sample, so that a test writes nothing beside the original."""
    copy = folder / name
    copy.write_bytes((SAMPLES / name).read_bytes())
    return copy


def long_pdf(folder: Path, *, pages: int, name: str = "long.pdf") -> Path:
    """Make a PDF that takes about a fifth of a second a page."""
    document = pymupdf.open()
    page = document.new_page()
    for line in range(40):
        page.insert_text((60, 60 + 17 * line), f"Line {line} of each page of a long document.")
    for _ in range(pages - 1):
        document.fullcopy_page(0)
    path = folder / name
    document.save(str(path))
    return path


def encrypted_pdf(folder: Path) -> Path:
    """Make a PDF that needs a password."""
    path = folder / "encrypted.pdf"
    with pymupdf.open(SAMPLES / "report.pdf") as document:
        aes_256: int = pymupdf.mupdf.PDF_ENCRYPT_AES_256
        document.save(str(path), encryption=aes_256, user_pw="open", owner_pw="sesame")
    return path


def huge_page_pdf(folder: Path) -> Path:
    """Make a PDF whose one page is 200 inches square: rendering it takes most of a gigabyte."""
    document = pymupdf.open()
    page = document.new_page(width=14_400, height=14_400)
    page.insert_text((100, 100), "Far away from everything.")
    path = folder / "huge.pdf"
    document.save(str(path))
    return path


def bomb_docx(folder: Path, *, size_bytes: int = 60_000_000) -> Path:
    """Make a DOCX with a part that expands a thousandfold."""
    path = sample("letter.docx", folder)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/media/image1.png", b"\0" * size_bytes)
    return path
