"""How well and how fast documents are converted: every lane, its peers and the published outputs, in one run.

``python -m bench documents --corpus FOLDER``: the folder holds ``pdf/``,
``truth/`` and ``published/``; without it the documents are made here.
"""

import asyncio
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from bench.documents_made import make
from bench.process_cost import cpu_s, peak_rss_mb
from bench.report import Report, Row, Target
from bench.subject import PEERS, ROOT
from schemas.errors import CorralError
from schemas.job_status import Progress
from schemas.jobs.documents import ConvertOptions, LaneName
from worker.adapters.pebble_document_parser import ParserLimits, PebbleDocumentParser

NAME = "documents"
_LANES: tuple[LaneName, ...] = ("fast", "auto", "deep")
_PEERS = ("liteparse", "pdf-inspector")
_METRICS = ("overall", "nid", "nid_s", "teds", "teds_s", "mhs", "mhs_s")
_TARGETS = (
    ("auto", "overall", ">=", 0.91),
    ("auto", "teds", ">=", 0.88),
    ("auto", "mhs", ">=", 0.82),
    ("auto", "time", "<=", 0.10),
    ("deep", "overall", ">=", 0.89),
    ("deep", "time", "<=", 0.25),
    ("fast", "overall", ">=", 0.885),
    ("fast", "time", "<=", 0.015),
)
_CHILD_MB = 700
_PROOF = 0.005


@dataclass(frozen=True)
class _Measured:
    subject: str
    out: Path
    seconds: float = 0.0
    cpu_s: float = 0.0
    memory_mb: float = 0.0


def run(*, quick: bool, corpus: Path | None = None) -> Report:
    """Convert all documents in every lane and score what came out."""
    with tempfile.TemporaryDirectory(prefix="bench-documents-") as folder:
        made = Path(folder) / "made"
        make(made)
        report = Report(NAME, list(_rows("made", made, Path(folder), peers=not quick)))
        if corpus is not None:
            report.rows += _rows("corpus", corpus, Path(folder), peers=True)
            report.targets = list(_targets(report, corpus))
    return report


def _rows(case: str, corpus: Path, folder: Path, *, peers: bool) -> Iterator[Row]:
    subjects = [asyncio.run(_lane(lane, corpus, _fresh(folder / case / lane))) for lane in _LANES]
    if peers:
        subjects += [_peer(peer, corpus, _fresh(folder / case / peer)) for peer in _PEERS]
        subjects += [_Measured(f"{out.name}, published", out) for out in _published(corpus)]
    for each in subjects:
        for metric, value in _scores(corpus, each.out).items():
            yield Row(each.subject, case, metric, value, "")
        if each.seconds:
            yield Row(each.subject, case, "time", each.seconds, "s/page")
            yield Row(each.subject, case, "CPU", each.cpu_s, "s/page")
            yield Row(each.subject, case, "memory", each.memory_mb, "MB")


async def _lane(lane: LaneName, corpus: Path, out: Path) -> _Measured:
    documents = sorted((corpus / "pdf").glob("*.pdf"))
    async with PebbleDocumentParser(ParserLimits(processes=2)) as parser:
        # The first document of a child pays for what is loaded on use.
        await asyncio.gather(*(_converted(parser, documents[0], lane, out) for _ in range(2)))
        started, spent = time.perf_counter(), cpu_s()
        pages = await asyncio.gather(*(_converted(parser, document, lane, out) for document in documents))
        seconds = (time.perf_counter() - started) / sum(pages)
        return _Measured(f"Corral, {lane}", out, seconds, (cpu_s() - spent) / sum(pages), peak_rss_mb())


async def _converted(parser: PebbleDocumentParser, document: Path, lane: LaneName, out: Path) -> int:
    async def report(_: Progress) -> None:
        """Nobody looks at the progress of a benchmark."""

    options = ConvertOptions(lane=lane, outputs=frozenset({"markdown"}))
    with tempfile.TemporaryDirectory() as folder:
        try:
            parsed = await parser.parse(
                document, name=document.name, options=options, folder=Path(folder), report=report
            )
        except CorralError:
            # A refusal is an empty output, and scores as one.
            return 1
        (out / f"{document.stem}.md").write_bytes(parsed.outputs["markdown"].read_bytes())
    return max(parsed.pages, 1)


def _peer(peer: str, corpus: Path, out: Path) -> _Measured:
    done = _in_peers("convert", peer, str(corpus / "pdf"), str(out))
    pages = len(list((corpus / "pdf").glob("*.pdf")))
    return _Measured(peer, out, done["seconds"] / pages, done["cpu_s"] / pages, done["memory_kb"] / 1024)


def _published(corpus: Path) -> list[Path]:
    folder = corpus / "published"
    return sorted(each for each in folder.iterdir() if each.is_dir()) if folder.exists() else []


def _scores(corpus: Path, out: Path) -> dict[str, float]:
    documents = _in_peers("score", str(corpus / "truth"), str(out)).values()
    return _means(list(documents))


def _means(documents: list[dict[str, float | None]]) -> dict[str, float]:
    given = {metric: [each[metric] for each in documents if each.get(metric) is not None] for metric in _METRICS}
    return {metric: fmean(values) for metric, values in given.items() if values}


def _targets(report: Report, corpus: Path) -> Iterator[Target]:
    for lane, metric, sense, target in _TARGETS:
        value = report.find(f"Corral, {lane}", "corpus", metric)
        yield Target(f"{lane}-{metric}", f"{metric} of the {lane} lane", value, target, sense)
    for lane in _LANES:
        value = report.find(f"Corral, {lane}", "corpus", "memory")
        yield Target(f"{lane}-memory", f"peak MB of a child, {lane} lane", value, _CHILD_MB, "<=")
    stated = corpus / "published" / "scores.json"
    if stated.exists():
        for engine, documents in json.loads(stated.read_text(encoding="utf-8")).items():
            theirs = _means(list(documents.values()))
            off = max(abs(report.find(f"{engine}, published", "corpus", name) - theirs[name]) for name in theirs)
            yield Target(f"scorer-{engine}", f"scorer's distance from {engine}'s stated means", off, _PROOF, "<=")


def _in_peers(*arguments: str) -> dict:  # type: ignore[type-arg]
    python = str(PEERS / "documents" / "bin" / "python")
    command = [python, "-m", "bench.subjects.documents_peer", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _fresh(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
