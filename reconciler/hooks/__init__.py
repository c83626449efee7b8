"""Tell others that a job has ended: a program of the operator's, and web addresses."""
