"""The HTTP API: jobs in and out, what happens, figures and health."""
