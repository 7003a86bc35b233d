"""Benchmarks: what Rowlock can do, as ratios within one run, for no two machines or moments are alike.

servers.py    a database and servers of its own, gone afterwards
wrk.py        the load on addresses that are read; buyers.py that of bookings; readers.py those who watch live
rounds.py     variants in turns, and medians of their ratios
live_maps.py  the figures of live seat maps; delays.py, memory.py and server_memory.py are parts of it, growth.py and heap.py of those

None of this is a test: nothing here passes or fails with the weather of a machine.
"""
