"""The proof: what an operator can find out about the real service with their own key and profiles.

Owns a client of the Live API, the attempts to get past a lock, the probes of a running broker, and the
reports. Needs the minting code and the settings. Nothing that serves requests imports it: the broker itself
opens no socket to Google.
"""
