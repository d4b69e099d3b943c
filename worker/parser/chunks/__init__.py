"""A document in pieces for search and for language models."""
