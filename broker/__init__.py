"""Live Broker."""
