"""The prompt language: from what the artist wrote to what guides each step. Only `encoding` and `guidance` need torch.

written text -> `resolving` (comments, styles, wildcards) -> `grammar` (a tree) -> `flattening` (plain pieces of each
step) -> `tokens` (chunks) -> `encoding` (embeddings) -> `guidance` (the model's prediction).
"""
