"""OCR by RapidOCR, whose models are inside its wheel: nothing is fetched."""

from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pymupdf

from worker.parser.ocr.word import Word

# Of PP-OCRv6 small, which reads them all with one model.
_LANGUAGES = {
    "en",
    "de",
    "fr",
    "es",
    "it",
    "pt",
    "nl",
    "da",
    "sv",
    "no",
    "fi",
    "is",
    "pl",
    "cs",
    "sk",
    "sl",
    "hr",
    "bs",
    "hu",
    "ro",
    "et",
    "lv",
    "lt",
    "ca",
    "eu",
    "gl",
    "ga",
    "cy",
    "mt",
    "sq",
    "tr",
    "az",
    "uz",
    "id",
    "ms",
    "tl",
    "vi",
    "la",
    "lb",
    "oc",
    "af",
    "sw",
    "qu",
    "ku",
    "zh",
    "ja",
}


class RapidOcrReader:
    """Reads lines of text."""

    name: ClassVar[str] = "rapidocr"

    def __init__(self, languages: tuple[str, ...]) -> None:
        """Note the languages that the model does not know."""
        unknown = sorted(set(languages) - _LANGUAGES)
        self.warnings: tuple[str, ...] = ()
        if unknown:
            self.warnings = (f"ocr has no model for {', '.join(unknown)}: install tesseract with its language",)

    def read(self, pixmap: pymupdf.Pixmap) -> list[Word]:
        """Find the lines in an image."""
        image = np.frombuffer(pixmap.samples, dtype=np.uint8).reshape(pixmap.height, pixmap.width, 3)
        found = _engine()(np.ascontiguousarray(image[:, :, ::-1]))
        if found.boxes is None:
            return []
        return [_word(text, corners) for text, corners in zip(found.txts, found.boxes, strict=True)]


@cache
def _engine() -> Any:  # noqa: ANN401 - RapidOCR is untyped
    import rapidocr  # noqa: PLC0415 - 0.3 s and 60 MB that most children never need

    models = Path(rapidocr.__file__).parent / "models"
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "error",
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            # Without explicit paths RapidOCR looks for a newer model, and downloads it.
            "Det.model_path": str(models / "PP-OCRv6_det_small.onnx"),
            "Cls.model_path": str(models / "ch_ppocr_mobile_v2.0_cls_mobile.onnx"),
            "Rec.model_path": str(models / "PP-OCRv6_rec_small.onnx"),
        }
    )


def _word(text: str, corners: Any) -> Word:  # noqa: ANN401
    xs, ys = [float(x) for x, _ in corners], [float(y) for _, y in corners]
    return Word(text=text, box=(min(xs), min(ys), max(xs), max(ys)))
