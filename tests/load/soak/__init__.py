"""The soak: a broker under mixed load and faults for a while, and then an audit of its ledger.

`journal` keeps what the clients saw. `site` runs the servers, `people` and `operators` make the load, and
`faults` breaks things. `ledger_audit`, `limits_audit` and `secret_sweep` compare rows and logs with the
journal. `gauges` watches memory, handles and latency. `run` puts it together; `make soak` runs it.
"""
