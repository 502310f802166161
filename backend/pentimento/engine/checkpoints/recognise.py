"""What a file with weights is, from the names and shapes of its tensors: small rules, of which the first that fits.

Names decide, not widths: a model of half the width is of the same family.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from .header import Header

Kind = Literal[
    "checkpoint", "lora", "embedding", "vae", "upscaler", "controlnet", "text_encoder", "ip_adapter", "unknown"
]
Prediction = Literal["epsilon", "v_prediction", "flow"]

SD15, SD2, SDXL, SD3, FLUX = "sd15", "sd2", "sdxl", "sd3", "flux"
FAMILY_NAMES: Final = {
    SD15: "Stable Diffusion 1.x",
    SD2: "Stable Diffusion 2.x",
    SDXL: "Stable Diffusion XL",
    SD3: "Stable Diffusion 3.5",
    FLUX: "FLUX.1",
}
"""The families that are known by name -> their names for people."""

FLOWS: Final = (SD3, FLUX)
"""The families that follow a flow and have no noise scale of sigmas."""

UNET: Final = "model.diffusion_model."
FIRST_CONVOLUTION: Final = f"{UNET}input_blocks.0.0.weight"
_MOST_EMBEDDING_TENSORS: Final = 8
_UPSCALER_MARKS: Final = (
    # ESRGAN as it is new and old, SwinIR, DAT, HAT, ...; Real-ESRGAN's compact network, SPAN, PLKSR.
    *("conv_first.weight", "model.0.weight", "body.0.weight", "conv_1.sk.weight", "feats.0.weight"),
    *("params_ema.conv_first.weight", "params.conv_first.weight", "params.body.0.weight"),
)
"""Files in a folder for upscalers need none of these."""
_INPAINT_CHANNELS: Final = 9
_EDIT_CHANNELS: Final = 8


@dataclass(frozen=True)
class Recognised:
    """What a file is. `family` is one of FAMILY_NAMES, "" where it has none or none is known.

    `architecture` names it for people, also where it is not supported. `parts` are a checkpoint's own: "unet" (or
    "transformer"), "vae", "text_encoder". `problem` says why it cannot be used, going on after the file's name; empty
    where it can.
    """

    kind: Kind
    family: str = ""
    architecture: str = ""
    prediction: Prediction = "epsilon"
    inpaint: bool = False
    parts: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class _Rule:
    fits: Callable[[Header], bool]
    describe: Callable[[Header, str], Recognised]


def recognise(header: Header, name: str = "") -> Recognised:
    """What the file with that header is. `name`, without folder, helps where tensors do not tell (SD 2's prediction).

    Never fails: what no rule knows has the kind "unknown" and a problem that says which keys were seen.
    """
    for rule in _RULES:
        if rule.fits(header):
            return rule.describe(header, name)
    supported = ", ".join(FAMILY_NAMES.values())
    problem = f"has an architecture that is not known ({seen(header)}). Supported: {supported}."
    return Recognised("unknown", architecture="unknown architecture", problem=problem)


def seen(header: Header, most: int = 4) -> str:
    """The first few beginnings of tensor names, for a message: "blocks (120 tensors), head (2 tensors)"."""
    counts: dict[str, int] = {}
    for name in header.tensors:
        stem = name.split(".", 1)[0][:60]
        counts[stem] = counts.get(stem, 0) + 1
    first = sorted(counts, key=lambda stem: -counts[stem])[:most]
    listed = ", ".join(f"{stem} ({counts[stem]} tensors)" for stem in first)
    return f"the keys {listed}{', ...' if len(counts) > most else ''}" if first else "no tensors"


def _any(header: Header, *beginnings: str) -> bool:
    return any(name.startswith(beginnings) for name in header.tensors)


def _holds(*words: str) -> Callable[[Header], bool]:
    return lambda header: any(word in name for name in header.tensors for word in words)


def _has(*names: str) -> Callable[[Header], bool]:
    """Whether one of the tensors is there, bare or below where a whole checkpoint has its denoiser."""
    both = (*names, *(UNET + name for name in names))
    return lambda header: any(name in header.tensors for name in both)


def _begins(*beginnings: str) -> Callable[[Header], bool]:
    return lambda header: _any(header, *beginnings)


def _named(kind: Kind, architecture: str, problem: str = "") -> Callable[[Header, str], Recognised]:
    return lambda _header, _name: Recognised(kind, architecture=architecture, problem=problem)


def _unsupported(architecture: str) -> Callable[[Header, str], Recognised]:
    supported = ", ".join(FAMILY_NAMES.values())
    return _named("checkpoint", architecture, f"is a model of {architecture}. Supported: {supported}.")


# --- LoRA and embeddings ---

_LORA_MARKS: Final = (
    ".lora_up.",
    ".lora_down.",
    ".lora_A.",
    ".lora_B.",
    ".lora.up.",
    ".lora.down.",
    ".lora_linear_layer.",
    ".hada_w1_a",
    ".lokr_w1",
    ".oft_blocks",
    ".oft_diag",
)
_DOWN: Final = re.compile(r"(lora_down|lora_A|lora\.down)(\.\w+)?\.weight$|lora_A$")
_CROSS_WIDTHS: Final = {768: SD15, 1024: SD2, 2048: SDXL}
"""Width of the text that a denoiser's cross attention reads -> family."""
_LORA_BASES: Final = (("sdxl", SDXL), ("sd_v2", SD2), ("sd_v1", SD15), ("flux", FLUX), ("sd3", SD3))


def _lora(header: Header, _name: str) -> Recognised:
    family = _lora_family(header)
    return Recognised("lora", family, f"LoRA for {FAMILY_NAMES.get(family, 'a family that is not known')}")


def _lora_family(header: Header) -> str:
    if _holds("double_blocks", "single_blocks", "single_transformer_blocks")(header):
        return FLUX
    if _holds("joint_blocks", "transformer.transformer_blocks.")(header):
        return SD3
    if _any(header, "lora_te2_", "text_encoder_2."):
        return SDXL
    for name, tensor in header.tensors.items():
        if "attn2" in name and ("to_k" in name or "to_v" in name) and _DOWN.search(name) and len(tensor.shape) > 1:
            return _CROSS_WIDTHS.get(tensor.shape[1], "")
    base = header.metadata.get("ss_base_model_version", "").lower()
    return next((family for word, family in _LORA_BASES if base.startswith(word)), "")


def _is_embedding(header: Header) -> bool:
    names = set(header.tensors)
    if not names or len(names) > _MOST_EMBEDDING_TENSORS:
        return False
    if "emb_params" in names or {"clip_l", "clip_g"} <= names:
        return True
    # diffusers writes one tensor under the token itself.
    return len(names) == 1 and all("." not in name and 1 <= len(header.shape(name)) <= 2 for name in names)


def _embedding(header: Header, _name: str) -> Recognised:
    if {"clip_l", "clip_g"} <= set(header.tensors):
        family = SDXL
    else:
        width = next(iter(header.tensors.values())).shape[-1]
        family = {768: SD15, 1024: SD2}.get(width, "")
    return Recognised("embedding", family, f"embedding for {FAMILY_NAMES.get(family, 'a family that is not known')}")


# --- models that paint ---


def _unet(header: Header, name: str) -> Recognised:
    """Stable Diffusion 1, 2 and XL: SDXL alone has a label embedding, and 1.x alone projects by a convolution."""
    channels = (*header.shape(FIRST_CONVOLUTION), 0, 0)[1]
    parts = _parts(header)
    if UNET + "label_emb.0.0.weight" in header.tensors:
        family = SDXL
    else:
        family = SD15 if _projects_by_convolution(header) else SD2
    shown = FAMILY_NAMES[family] + (" inpainting" if channels == _INPAINT_CHANNELS else "")
    if channels == _EDIT_CHANNELS:
        problem = "is an InstructPix2Pix model, which edits by instruction and does not paint by strength."
        return Recognised("checkpoint", family, "InstructPix2Pix", parts=parts, problem=problem)
    return Recognised(
        "checkpoint",
        family,
        shown,
        _prediction(header, name, family),
        inpaint=channels == _INPAINT_CHANNELS,
        parts=parts,
    )


def _projects_by_convolution(header: Header) -> bool:
    return any(len(tensor.shape) == 4 for name, tensor in header.tensors.items() if name.endswith(".proj_in.weight"))


def _parts(header: Header) -> tuple[str, ...]:
    beginnings = {
        "unet": (UNET,),
        "vae": ("first_stage_model.",),
        "text_encoder": ("cond_stage_model.", "conditioner.", "text_encoders."),
    }
    return tuple(part for part, starts in beginnings.items() if _any(header, *starts))


_SAYS_V: Final = re.compile(r"v[-_ ]?pred|768[-_ ]?v|v[-_ ]?768", re.IGNORECASE)
_SAYS_BASE: Final = re.compile(r"base|512|eps", re.IGNORECASE)


def _prediction(header: Header, name: str, family: str) -> Prediction:
    """Tensors do not tell what a UNet predicts: metadata, marks that trainers leave, the file's name, the usual."""
    stated = header.metadata.get("modelspec.prediction_type", "").lower()
    if stated:
        return "v_prediction" if stated.startswith("v") else "epsilon"
    if "v_pred" in header.tensors or _SAYS_V.search(name):
        return "v_prediction"
    if family != SD2:
        return "epsilon"
    # Stable Diffusion 2's base, inpainting, turbo models predict noise; its 768 px models, the usual ones, velocity.
    inpaint = (*header.shape(FIRST_CONVOLUTION), 0, 0)[1] == _INPAINT_CHANNELS
    return "epsilon" if inpaint or _SAYS_BASE.search(name) or "turbo" in name.lower() else "v_prediction"


def _sd3(header: Header, _name: str) -> Recognised:
    number = max(_block_numbers(header, "joint_blocks"), default=0) + 1
    size = "large" if number > 30 else "medium"
    return Recognised("checkpoint", SD3, f"Stable Diffusion 3.5 {size}", "flow", parts=_flow_parts(header))


def _flux(header: Header, _name: str) -> Recognised:
    channels = (*header.shape("img_in.weight"), *header.shape(UNET + "img_in.weight"), 0, 0)[1]
    which = "dev" if _has("guidance_in.in_layer.weight")(header) else "schnell"
    parts = _flow_parts(header)
    if channels not in (0, 64) and channels > 100:
        which = "Fill" if channels > 300 else "Control"
        problem = f"is FLUX.1 {which}, which takes more than a picture. Supported: FLUX.1 dev and schnell."
        return Recognised("checkpoint", FLUX, f"FLUX.1 {which}", "flow", parts=parts, problem=problem)
    return Recognised("checkpoint", FLUX, f"FLUX.1 {which}", "flow", parts=parts)


def _flow_parts(header: Header) -> tuple[str, ...]:
    rest = tuple(part for part in _parts(header) if part != "unet")
    vae = () if "vae" in rest or not _any(header, "vae.") else ("vae",)
    return ("transformer", *rest, *vae)


def _block_numbers(header: Header, stem: str) -> Iterable[int]:
    pattern = re.compile(rf"(?:^|\.){stem}\.(\d+)\.")
    return {int(found[1]) for name in header.tensors if (found := pattern.search(name))}


# --- the rest ---

_DECODER: Final = ("decoder.conv_in.weight", "first_stage_model.decoder.conv_in.weight", "vae.decoder.conv_in.weight")


def _vae(header: Header, _name: str) -> Recognised:
    channels = next((header.shape(name)[1] for name in _DECODER if len(header.shape(name)) == 4), 0)
    return Recognised("vae", architecture=f"VAE of {channels} latent channels")


def _is_text_encoder(header: Header) -> bool:
    ends = ("encoder.layers.0.self_attn.q_proj.weight", "encoder.block.0.layer.0.SelfAttention.q.weight")
    return any(name.endswith(ends) for name in header.tensors)


_DIFFUSERS_PIECE: Final = (
    "is one piece of a model in diffusers' folder format. Add the whole folder, with its model_index.json."
)

_CONTROLNET_MARKS: Final = ("lora_controlnet", "controlnet_", "control_model.", "input_hint_block", "lllite")

_RULES: Final[tuple[_Rule, ...]] = (
    _Rule(_is_embedding, _embedding),
    _Rule(_holds(*_CONTROLNET_MARKS), _named("controlnet", "ControlNet")),
    _Rule(_begins("control_", "image_proj.", "ip_adapter."), _named("ip_adapter", "IP-Adapter")),
    _Rule(_holds(*_LORA_MARKS), _lora),
    _Rule(_begins("conditioner.embedders.0.model."), _unsupported("the refiner of Stable Diffusion XL")),
    _Rule(_has("edm_mean"), _unsupported("Playground 2.5")),
    _Rule(lambda header: FIRST_CONVOLUTION in header.tensors, _unet),
    _Rule(_has("joint_blocks.0.context_block.adaLN_modulation.1.bias"), _sd3),
    _Rule(_has("distilled_guidance_layer.in_proj.weight"), _unsupported("Chroma")),
    _Rule(_has("double_stream_modulation_img.lin.weight"), _unsupported("FLUX.2")),
    _Rule(_has("double_blocks.0.img_attn.norm.key_norm.scale"), _flux),
    _Rule(_has("cap_embedder.0.weight"), _unsupported("Z-Image or Lumina")),
    _Rule(_has("transformer_blocks.0.img_mod.1.weight"), _unsupported("Qwen-Image")),
    _Rule(_has("clip_txt_mapper.weight", "down_blocks.1.0.channelwise.0.weight"), _unsupported("Stable Cascade")),
    _Rule(_has("double_layers.0.attn.w1q.weight"), _unsupported("AuraFlow")),
    _Rule(_has("patch_embedding.weight", "patchify_proj.weight"), _unsupported("a video model")),
    _Rule(
        _has("input_blocks.0.0.weight"),
        _named("checkpoint", "a UNet alone", "is a UNet alone. Take a checkpoint that holds its text encoder."),
    ),
    _Rule(
        _has("down_blocks.0.resnets.0.conv1.weight", "transformer_blocks.0.norm1.linear.weight"),
        _named("checkpoint", "a piece of a diffusers model", _DIFFUSERS_PIECE),
    ),
    _Rule(lambda header: any(name in header.tensors for name in _DECODER), _vae),
    _Rule(_is_text_encoder, _named("text_encoder", "text encoder")),
    _Rule(_has(*_UPSCALER_MARKS), _named("upscaler", "upscaler")),
)
