"""Contracts: what the parts of Corral say to each other, as data and nothing else."""

VERSION = "0.1.0"
