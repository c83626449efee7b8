"""Fetch one job from a swarm: `job` decides, `runner` does, `lanes` move the bytes."""
