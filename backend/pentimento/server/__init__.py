"""The HTTP server: it knows HTTP and hands everything else to the jobs. Never imports torch."""
