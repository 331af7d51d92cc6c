"""Logs and metrics: what operators see of the running broker."""
