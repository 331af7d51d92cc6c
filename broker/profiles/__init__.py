"""Profiles: what a session may be, and who may ask for which.

A leaf: needs only `errors`. What a profile's `config` may hold is judged in `minting`, which knows the
Google SDK.
"""
