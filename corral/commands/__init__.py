"""The commands of ``corral``, a module for each thing they are about."""
