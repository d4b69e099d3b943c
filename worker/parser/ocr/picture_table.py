"""Makes a table of what OCR has read in a picture and of the lines that the picture shows."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median

from worker.parser.ocr.word import Word
from worker.parser.pdf.offered_table import Box, OfferedCell, OfferedTable

# A rule bounds a column or a row when it runs along this part of the table.
_RUN_SHARE = 0.5
# Rules this near to each other, in pixels, are one.
_NEAR = 8.0
_LEAST_FILLED = 0.5
_LINES_ONLY = frozenset("|[]{}()_-=~.,:;'\u2014\u2013\u00a6 ")


def pictured_table(words: Iterable[Word], rules: Sequence[Box]) -> OfferedTable | None:
    """Give the table in a picture, boxes in its pixels; None where lines and words make none.

    The lines of a chart cross as well: a table is what has words in most of its cells.
    """
    printed = [word for word in words if not set(word.text) <= _LINES_ONLY]
    columns = _edges([(x, top, bottom) for x, top, right, bottom in rules if right - x < bottom - top])
    if len(columns) < 3 or not printed:  # noqa: PLR2004 - two columns have three edges
        return None
    inside = [word for word in printed if columns[0] <= _centre(word)[0] <= columns[-1]]
    rows = _edges([(y, left, right) for left, y, right, bottom in rules if right - left > bottom - y])
    rows = _between_lines(inside, rows)
    if len(rows) < 3:  # noqa: PLR2004 - as above
        return None
    cells = [
        [
            OfferedCell(_text(inside, (left, top, right, bottom)), (left, top, right, bottom))
            for left, right in pairwise(columns)
        ]
        for top, bottom in pairwise(rows)
    ]
    filled = sum(bool(cell.text) for row in cells for cell in row)
    if filled < _LEAST_FILLED * sum(map(len, cells)):
        return None
    return OfferedTable((columns[0], rows[0], columns[-1], rows[-1]), cells, header_rows=1)


def _edges(rules: list[tuple[float, float, float]]) -> list[float]:
    """Join rules that lie on one line, and keep the lines that are long; each is place, from, to."""
    lines: list[list[tuple[float, float, float]]] = []
    for rule in sorted(rules):
        if lines and rule[0] - lines[-1][-1][0] <= _NEAR:
            lines[-1].append(rule)
        else:
            lines.append([rule])
    if not lines:
        return []
    whole = max(rule[2] for rule in rules) - min(rule[1] for rule in rules)
    return [
        sum(rule[0] for rule in line) / len(line)
        for line in lines
        if sum(end - start for _, start, end in line) >= _RUN_SHARE * whole
    ]


def _between_lines(words: list[Word], ruled: list[float]) -> list[float]:
    """Give the edges of the rows: the rules where each row has one, else between the lines of words."""
    tops = sorted((_centre(word)[1], word.box[1], word.box[3]) for word in words)
    height = median(bottom - top for _, top, bottom in tops) if tops else 0
    lines: list[list[tuple[float, float, float]]] = []
    for word in tops:
        if lines and word[0] - lines[-1][-1][0] < height / 2:
            lines[-1].append(word)
        else:
            lines.append([word])
    # Cells of several lines are ruled; rows without rules are lines.
    if len(ruled) >= 3 and len(lines) <= 3 * (len(ruled) - 1):  # noqa: PLR2004
        return ruled
    middles = [(max(w[2] for w in above) + min(w[1] for w in below)) / 2 for above, below in pairwise(lines)]
    return [lines[0][0][1] - 1, *middles, max(word[2] for word in lines[-1]) + 1] if lines else []


def _text(words: list[Word], box: Box) -> str:
    left, top, right, bottom = box
    found = [word for word in words if left <= _centre(word)[0] < right and top <= _centre(word)[1] < bottom]
    height = max((word.box[3] - word.box[1] for word in found), default=1)
    found.sort(key=lambda word: (round(_centre(word)[1] / height), word.box[0]))
    return " ".join(word.text.strip("|[]{}") for word in found).strip()


def _centre(word: Word) -> tuple[float, float]:
    return (word.box[0] + word.box[2]) / 2, (word.box[1] + word.box[3]) / 2
