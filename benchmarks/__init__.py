"""Benchmarks: what Rowlock can do, as ratios within one run, for no two machines or moments are alike.

servers.py    a database and servers of its own, gone afterwards
wrk.py        the load on addresses that are read; buyers.py that of bookings; readers.py those who watch live
rounds.py     variants in turns, and medians of their ratios
live_maps.py  the figures of live seat maps; delays.py, memory.py and server_memory.py are parts of it, growth.py and heap.py of those
compare.py    bookings beside others: must.py, overdue.py and big.py measure, peers.py has pgbench and Express
full.py       other ways to sell, and curves, which plots.py draws
bookings.py   Rowlock alone, in short windows; worlds.py makes what is sold, rush.py and selling.py sell it
machine.py    how figures are written

None of this is a test: nothing here passes or fails with the weather of a machine.
"""
