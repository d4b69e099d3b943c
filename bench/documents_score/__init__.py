"""How close a Markdown is to the truth: reading order, tables and headings, each from 0 to 1."""
