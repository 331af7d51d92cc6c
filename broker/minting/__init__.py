"""Minting: a profile becomes a locked token of Google's.

The only package that imports `google.genai`. `minter.py` is what the rest of the broker knows; `locking.py`
turns profiles into the exact setup and mask at start; `gemini.py` makes the call, through the bounds of
`transport.py` and `gate.py`; `failures.py` turns whatever went wrong into a refusal.
"""
