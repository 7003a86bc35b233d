"""The HTTP face: thin handlers, wire types, problem responses, sign-in."""
