"""Whole swarms in virtual time: the job machine against peers that are numbers. Begin with `world.py`."""
