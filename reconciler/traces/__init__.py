"""What happened: events, where they are kept, and what they add up to."""
