"""How much each principal may use: rates, quotas and sign-in attempts."""
