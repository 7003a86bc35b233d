"""What this process remembers of shows, to be faster; never what decides."""
