"""What several kinds of tests need: people, settings, and a real broker to talk to."""
