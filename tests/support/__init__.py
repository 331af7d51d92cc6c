"""Helpers for several kinds of tests: users, settings and a running broker."""
