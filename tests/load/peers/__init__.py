"""What people write instead of this broker, for comparison: no sign-in, no limits, no record.

Each reads UPSTREAM, the address of the Live API, and answers POST /token. `tests.load.bench` starts them.
"""
