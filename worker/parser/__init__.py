"""The child side of the document parser: what runs in a process that may be killed.

The worker itself imports only ``limit``, ``request``, ``progress_file`` and ``child`` from here,
none of which loads a document library.
"""
