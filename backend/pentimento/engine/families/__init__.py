"""Families of models: what differs between Stable Diffusion 1.5 and FLUX.1, and nothing else does.

`info` says what a family's configuration files tell before anything is loaded (free of torch: the server imports it),
`registry.FAMILIES` maps a family's name to its `Family`: the diffusers pipeline whose folder format it comes in, which
component denoises, on what noise scale, how a prompt is encoded for it and how it is asked. All else (the loop, soft
masks, strength, guidance, samplers, noise) is the same for all. A new family is a file here, a row in
`registry.FAMILIES` and one in `info.PIPELINES`.

Names: "sd15", "sd2" (Stable Diffusion 2.x), "sdxl", "sd3" (3 and 3.5), "flux" (FLUX.1 dev and schnell). Checkpoints for
inpainting (9 input channels) are of the family that they were made from.
"""
