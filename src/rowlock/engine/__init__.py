"""The one door to the seats: lanes, batches, commits."""
