"""Counts tokens without a vocabulary."""

import re

TOKENIZER = "words"
# One letter of the scripts that are written without spaces, six of the others, or a mark.
_TOKEN = re.compile(r"[\u2e80-\ud7ff\uf900-\uffdc\U00020000-\U0003ffff]|[^\W\u2e80-\uffdc]{1,6}|[^\w\s]")


def count(text: str) -> int:
    """Estimate how many tokens a text has: one for six letters of a word or what is left of it, and one a mark.

    Of scripts without spaces every letter is one.
    """
    return len(_TOKEN.findall(text))
