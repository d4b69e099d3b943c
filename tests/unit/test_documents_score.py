"""The benchmark's scores are those that its sources define."""

import pytest

from bench.documents_score.score import Score, score

TABLE = "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>"


def test_the_truth_is_perfect() -> None:
    """Pipes and HTML are the same table."""
    truth = f"# Head\n\nWords.\n\n{TABLE}\n"
    scored = score(truth, "## Head\n\nWords.\n\n| a | b |\n| - | - |\n| c | d |\n")
    assert (scored.teds, scored.teds_s, scored.mhs_s) == (1, 1, 1)
    assert score(truth, truth) == Score(1, 1, 1, 1, 1, 1)


def test_what_the_truth_lacks_is_not_scored() -> None:
    """A document without a table says nothing about tables."""
    scored = score("Words alone.", "Words alone.")
    assert (scored.nid, scored.teds, scored.mhs, scored.overall) == (1, None, None, 1)


def test_a_table_that_is_missed_is_zero() -> None:
    """So is a heading."""
    scored = score(f"# Head\n\n{TABLE}", "Head a b c d")
    assert (scored.teds, scored.mhs) == (0, 0)


def test_one_wrong_cell_costs_its_share() -> None:
    """Of table, two rows and four cells, one letter differs; the root does not count."""
    scored = score(TABLE, TABLE.replace("<td>d", "<td>x"))
    assert scored.teds == pytest.approx(1 - 1 / 7)
    assert scored.teds_s == 1
