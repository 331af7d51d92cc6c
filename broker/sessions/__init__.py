"""The grants that we track, and their states."""
