"""Soulseek as a source: a session with its server, searches within a budget, and one stream at a time from a peer."""
