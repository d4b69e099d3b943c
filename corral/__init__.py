"""FACE: the command line and the laptop launcher. It composes the parts and decides nothing."""
