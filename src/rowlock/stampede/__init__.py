"""The on-sale proof: buyers that rush a running Rowlock over HTTP, and an audit of what came of it, from outside.

It knows Rowlock as any client does, by its API alone; nothing of the server is imported here.
"""
