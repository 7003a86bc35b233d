"""Background work: each a run_once() and a loop with one shutdown contract."""
