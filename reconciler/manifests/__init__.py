"""What the user asked for: manifests as values, and the status written back into their bytes."""
