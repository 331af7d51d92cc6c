"""The only part that speaks HTTP."""
