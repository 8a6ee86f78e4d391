"""Watching: a growing log -> what changed: reading only what was added, and saying only what is settled."""
