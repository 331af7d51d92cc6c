"""What is kept: the SQL side of users, sign-ins, sessions, rates and the audit trail."""
