"""What the plugins and the backend share. Python 3.10, the standard library and requests: nothing else."""
