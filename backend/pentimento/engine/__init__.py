"""The engine: what diffusion does to a picture. A library: no work at import, no HTTP, no jobs."""
