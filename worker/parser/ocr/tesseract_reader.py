"""OCR by the tesseract command, when the system has one: better on western text, and faster."""

import csv
import signal
import subprocess
from functools import cache
from typing import ClassVar

import pymupdf

from producers.child_process import bound_to_this_process
from worker.parser.ocr.word import Word

_FALLBACK = "eng"
_IS_WORD = "5"
# ISO 639-1, which callers use, to the names of tesseract's models. Others are asked for as given.
_MODELS = {
    "en": "eng",
    "de": "deu",
    "fr": "fra",
    "es": "spa",
    "it": "ita",
    "pt": "por",
    "nl": "nld",
    "da": "dan",
    "sv": "swe",
    "no": "nor",
    "nb": "nor",
    "fi": "fin",
    "is": "isl",
    "pl": "pol",
    "cs": "ces",
    "sk": "slk",
    "sl": "slv",
    "hr": "hrv",
    "hu": "hun",
    "ro": "ron",
    "bg": "bul",
    "el": "ell",
    "ru": "rus",
    "uk": "ukr",
    "tr": "tur",
    "ca": "cat",
    "eu": "eus",
    "gl": "glg",
    "et": "est",
    "lv": "lav",
    "lt": "lit",
    "ar": "ara",
    "he": "heb",
    "hi": "hin",
    "fa": "fas",
    "ja": "jpn",
    "ko": "kor",
    "vi": "vie",
    "th": "tha",
    "zh": "chi_sim",
    "sr": "srp",
    "sq": "sqi",
    "ga": "gle",
    "cy": "cym",
    "la": "lat",
}


class TesseractReader:
    """Reads words."""

    name: ClassVar[str] = "tesseract"

    def __init__(self, command: str, languages: tuple[str, ...]) -> None:
        """Choose the models that are installed."""
        wanted = dict.fromkeys(_MODELS.get(language, language) for language in languages)
        installed = _installed(command)
        chosen = [model for model in wanted if model in installed]
        self.warnings = tuple(
            f"tesseract has no model {model}: install it" for model in wanted if model not in installed
        )
        self._command = [command, "-", "-", "-l", "+".join(chosen) or _FALLBACK, "--psm", "3", "tsv"]

    def read(self, pixmap: pymupdf.Pixmap) -> list[Word]:
        """Find the words in an image."""
        done = subprocess.run(  # noqa: S603 - the operator's tesseract, no shell
            self._command,
            input=pixmap.tobytes("png"),
            capture_output=True,
            check=True,
            preexec_fn=bound_to_this_process(signal.SIGKILL),
        )
        rows = csv.DictReader(done.stdout.decode().splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
        return [_word(row) for row in rows if row["level"] == _IS_WORD and row["text"].strip()]


@cache
def _installed(command: str) -> frozenset[str]:
    done = subprocess.run(  # noqa: S603
        [command, "--list-langs"], capture_output=True, check=True, text=True
    )
    return frozenset(done.stdout.split("\n")[1:])


def _word(row: dict[str, str]) -> Word:
    left, top = float(row["left"]), float(row["top"])
    box = (left, top, left + float(row["width"]), top + float(row["height"]))
    return Word(text=row["text"], box=box, confidence=float(row["conf"]) / 100)
