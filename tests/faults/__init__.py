"""Faults as tests. README.md lists them: what each does to a request, and where its test is."""
