"""Who is asking: from an unverified credential to a Principal."""
