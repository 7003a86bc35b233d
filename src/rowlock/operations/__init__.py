"""What callers can ask for, a file a verb: used alike by HTTP, workers and the command line."""
