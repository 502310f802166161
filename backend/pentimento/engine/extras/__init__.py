"""What a prompt adds to a model for one picture: LoRA files and embeddings. Only `deltas`, `overlay`, `patching` and
`vectors` need torch.

`files` finds them by name, `lora_files` reads what a LoRA tells of itself; `keys` says which weight of a model each of
its tensors belongs to, `deltas` what they add to it, `patching` lays that over a loaded model and `overlay` knows what
lies there; `vectors` reads embeddings and puts them in.
"""
