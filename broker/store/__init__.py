"""The SQL store: accounts, the ledger of sessions and tokens, reports for operators, and the audit log."""
