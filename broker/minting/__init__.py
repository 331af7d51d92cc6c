"""Minting: turns a profile into a locked token from Google.

The only package that imports `google.genai`. The rest of the broker uses the protocol in `minter.py`. At
start, `compile.py` turns each profile into its exact setup and mask. `gemini.py` makes the call with the
client of `sdk_client.py`, within the limits of `transport.py` and `circuit_breaker.py`. `errors.py` turns
every failure into a refusal.
"""
