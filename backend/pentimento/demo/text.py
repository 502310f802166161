"""The text side: a CLIP tokenizer with a vocabulary of our own (any byte can be spelt) and a small CLIP
text encoder."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from pentimento.demo.captions import EXTRA_WORDS, caption
from pentimento.demo.scene import (
    COLORS,
    GROUNDS,
    MAIN_SUBJECTS,
    SEASONS,
    STYLES,
    TIMES,
    WEATHERS,
    Scene,
    draw_look,
    draw_scene,
)

WIDTH: Final = 128
VOCABULARY: Final = 1024
LENGTH: Final = 77


def build_tokenizer(folder: Path) -> CLIPTokenizer:
    """Learn byte-pair merges from captions, write the tokenizer's files to a folder and load them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    corpus = [caption(draw_scene(k), rng, short=0.2).lower() for k in range(3000)]
    corpus += [" ".join(EXTRA_WORDS)] * 40
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 2, initial_alphabet=letters, end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator(corpus, trainer)
    merges = [m if isinstance(m, str) else " ".join(m) for m in json.loads(learner.to_str())["model"]["merges"]]
    tokens = letters + [c + "</w>" for c in letters]
    tokens += [t for m in merges if (t := m.replace(" ", "")) not in set(tokens)]
    tokens = list(dict.fromkeys(tokens))
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({t: k for k, t in enumerate(tokens)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": LENGTH,
        "do_lower_case": True,
        "errors": "replace",
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))
    return CLIPTokenizer.from_pretrained(str(folder))


def open_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer of a folder, learnt now where there is none."""
    return CLIPTokenizer.from_pretrained(str(folder)) if (folder / "vocab.json").exists() else build_tokenizer(folder)


def build_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A new text encoder of two layers for a tokenizer."""
    end = len(tokenizer) - 1
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            bos_token_id=end - 1,
            eos_token_id=end,
            pad_token_id=end,
            attention_dropout=0.0,
        )
    )


FACTS: Final = (STYLES, TIMES, SEASONS, WEATHERS, GROUNDS, (None, *MAIN_SUBJECTS), (None, *COLORS))
"""What a caption can tell about a scene, in the order of `facts_of`."""


def facts_of(scene: Scene) -> list[int]:
    """The index of each fact of a scene in `FACTS`."""
    look, subject = scene.look, scene.subject
    facts = (look.style, look.time, look.season, look.weather, scene.ground)
    facts += (subject.kind, subject.color) if subject else (None, None)
    return [names.index(fact) for names, fact in zip(FACTS, facts, strict=True)]


def teach(encoder: CLIPTextModel, tokenizer: CLIPTokenizer, minutes: float, rng: np.random.Generator) -> float:
    """Train an encoder to tell a scene's facts from its caption, by a linear head that is thrown away; gives the
    last loss.

    The UNet then meets a text whose parts are already apart. What a caption leaves out can only be guessed, so that
    the loss stays well above zero.
    """
    head = torch.nn.Linear(WIDTH, sum(map(len, FACTS)))
    parameters = [*encoder.parameters(), *head.parameters()]
    adam = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01)
    scenes = [draw_scene(k) for k in range(4000)]
    losses, start = [], time.time()
    while (part := (time.time() - start) / 60 / minutes) < 1:
        for group in adam.param_groups:
            group["lr"] = 1e-3 * min(1.0, (len(losses) + 1) / 50, 2 * (1 - part)) + 1e-5
        drawn = [scenes[k] for k in rng.integers(len(scenes), size=64)]
        drawn = [s.with_look(**vars(draw_look(rng))) for s in drawn]
        texts = [caption(s, rng, short=0.5) for s in drawn]
        tokens = tokenizer(texts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt")
        told = head(encoder(tokens.input_ids).last_hidden_state.mean(dim=1)).split([len(f) for f in FACTS], dim=1)
        wanted = torch.tensor([facts_of(s) for s in drawn]).T
        loss = torch.stack([F.cross_entropy(a, b) for a, b in zip(told, wanted, strict=True)]).sum()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
        losses.append(loss.item())
    return float(np.mean(losses[-100:]))
