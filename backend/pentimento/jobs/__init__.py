"""Jobs: what was accepted is on disk, runs in a worker process of its own, and survives both processes'
deaths."""
