"""Make it so: from a changed name in a folder to a finished job, level-triggered."""
