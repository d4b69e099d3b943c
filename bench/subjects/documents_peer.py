"""Runs in the environment of the peers: ``convert PEER PDFS OUT`` or ``score TRUTH OUT``; JSON on stdout."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path


def main() -> None:
    """Do what the command line says."""
    task, *arguments = sys.argv[1:]
    done = _convert(*arguments) if task == "convert" else _score(*map(Path, arguments))
    print(json.dumps(done))


def _convert(peer: str, pdfs: str, out: str) -> dict[str, float]:
    convert = {"liteparse": _liteparse, "pdf-inspector": _pdf_inspector}[peer]()
    documents = sorted(Path(pdfs).glob("*.pdf"))
    started, spent = time.perf_counter(), time.process_time()
    for document in documents:
        (Path(out) / f"{document.stem}.md").write_text(convert(document), encoding="utf-8")
    taken = time.perf_counter() - started
    return {"seconds": taken, "cpu_s": time.process_time() - spent, "memory_kb": _peak_kb()}


def _peak_kb() -> int:
    # Not getrusage: its figure begins with that of the process that started this one.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _liteparse() -> Callable[[Path], str]:
    from liteparse import LiteParse  # noqa: PLC0415 - one peer is loaded, not both

    parser = LiteParse(output_format="markdown", ocr_enabled=False, image_mode="off", quiet=True, extract_links=False)
    return lambda document: str(parser.parse(str(document)).text)


def _pdf_inspector() -> Callable[[Path], str]:
    import pdf_inspector  # noqa: PLC0415 - as above

    return lambda document: str(pdf_inspector.process_pdf(str(document)).markdown or "")


def _score(truth: Path, out: Path) -> dict[str, dict[str, float | None]]:
    from bench.documents_score.score import figures, score  # noqa: PLC0415 - a peer that is timed does not load it

    return {
        each.stem: figures(score(each.read_text(encoding="utf-8"), _read(out / each.name)))
        for each in sorted(truth.glob("*.md"))
    }


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


if __name__ == "__main__":
    main()
