"""What must survive a restart: one SQLite file with one writer."""
