"""The jobs of the build pipeline: one folder each, started by `run.py NAME`."""
