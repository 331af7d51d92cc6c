"""Sessions, their states and the times of their tokens."""
