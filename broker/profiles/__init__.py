"""Profiles: what a session may do, and who may use which profile.

A leaf: needs only `errors` and `principal`. `minting` checks the `config` of a profile, because it knows the
Google SDK.
"""
