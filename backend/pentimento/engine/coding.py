"""Between pictures, prompts and the model's own spaces: text encoder, VAE encoder, VAE decoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .arrays import Float
from .loading import LoadedModel


def encode_prompts(
    model: LoadedModel, prompt: str, negative_prompt: str, cfg_scale: float, clip_skip: int
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """([1, tokens, width], the same for the negative prompt or None at CFG scale 1).

    `clip_skip` counts as AUTOMATIC1111 does: 1 is the last layer. The last layer norm is applied whatever the layer.
    """
    positive = _encode_text(model, prompt, clip_skip)
    return positive, (_encode_text(model, negative_prompt, clip_skip) if cfg_scale > 1 else None)


def _encode_text(model: LoadedModel, text: str, clip_skip: int) -> torch.Tensor:
    tokenizer, encoder = model.components["tokenizer"], model.components["text_encoder"]
    tokens = tokenizer(
        text,
        padding="max_length",
        truncation=True,
        max_length=tokenizer.model_max_length,
        return_tensors="pt",
    )
    output = encoder(tokens.input_ids.to(model.device), output_hidden_states=clip_skip > 1)
    if clip_skip == 1:
        return output[0]
    return encoder.text_model.final_layer_norm(output.hidden_states[-clip_skip])


def count_tokens(model: LoadedModel, text: str) -> tuple[int, int]:
    """(tokens of the text, tokens that the model reads at most), both without start and end marks."""
    tokenizer = model.components["tokenizer"]
    tokens = tokenizer(text, truncation=False, add_special_tokens=False, verbose=False).input_ids
    return len(tokens), tokenizer.model_max_length - 2


def encode_picture(model: LoadedModel, rgb: Float) -> torch.Tensor:
    """[h, w, 3] in 0..1 -> latents [1, c, h / f, w / f], float32: the mode of the VAE's distribution, not a sample."""
    vae = model.components["vae"]
    picture = torch.from_numpy(np.ascontiguousarray(rgb.clip(0, 1).transpose(2, 0, 1)))[None]
    latents = vae.encode((picture * 2 - 1).to(model.device, model.dtype)).latent_dist.mode()
    return latents.float() * vae.config.scaling_factor


def decode_pictures(model: LoadedModel, latents: torch.Tensor) -> Sequence[Float]:
    """Latents [n, c, h, w] -> n pictures [h * f, w * f, 3], float32; values may leave 0..1."""
    vae = model.components["vae"]
    pictures = vae.decode((latents / vae.config.scaling_factor).to(model.dtype)).sample
    return [picture.float().cpu().numpy().transpose(1, 2, 0) / 2 + 0.5 for picture in pictures]
