"""The predecessors' own calls, for clients written for them: docs/predecessors.md tells which are meant.

They bypass nothing: each module translates one predecessor's words, and calls the same operations as `/api`.
"""
