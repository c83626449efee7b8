"""What we hold: how files are named, placed, checked and found again."""
