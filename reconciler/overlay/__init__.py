"""Being a peer: who we are, what we vouch for, and how others read it from us."""
