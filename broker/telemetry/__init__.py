"""What operators can see of the broker at work."""
