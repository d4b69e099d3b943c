"""A document as the files that were asked for."""

from collections.abc import Callable, Iterable
from pathlib import Path

from docling_core.types.doc import DoclingDocument

from schemas.jobs.documents import OutputName

_Export = Callable[[DoclingDocument], str]
_EXPORTS: dict[OutputName, tuple[str, _Export]] = {
    "markdown": ("document.md", lambda document: document.export_to_markdown() + "\n"),
    "json": ("document.json", lambda document: document.model_dump_json(by_alias=True, exclude_none=True)),
    "text": ("document.txt", lambda document: document.export_to_text() + "\n"),
}


def write_outputs(document: DoclingDocument, names: Iterable[OutputName], folder: Path) -> dict[OutputName, Path]:
    """Write one file per output; writing again replaces it."""
    for picture in document.pictures:
        # Pictures stay where they are: base64 in JSON would outweigh all the text.
        picture.image = None
    outputs: dict[OutputName, Path] = {}
    for name in names:
        file, export = _EXPORTS[name]
        outputs[name] = folder / file
        outputs[name].write_text(export(document), encoding="utf-8")
    return outputs
