"""Every figure that the README claims, measured against its peers in one run: ``python -m bench NAME``."""
