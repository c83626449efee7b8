"""Write what music you want as YAML; the daemon makes it so.

The map, in reading order (a package may use only what stands below it in this list reversed;
`docs/explanation/architecture.md`):

manifests   what the user asked for: bytes -> Manifest, and the status back into the same bytes
reconcile   make it so: watch, queue, observe, decide, act, archive
engine      fetch one job from a swarm: a machine without hands, and the threads that move the bytes
sources     where bytes come from: overlay peers and plain HTTP servers
overlay     being a peer: identity, BEP 52 trees, signed descriptors, the server
library     what we hold: names, safe placement, audio checks, the index of what may be shared
hooks       tell others that a job has ended
musicbrainz what exists: releases, artists and labels, asked for politely and remembered
traces      what happened: events, the table, the session log, the summary
state       what must survive a restart: the SQLite file
cli         what a person types
"""

__version__ = "0.1.0"
