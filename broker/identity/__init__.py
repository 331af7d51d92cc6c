"""Identity: verifies a credential and returns the Principal that it belongs to."""
