"""The text side: a CLIP tokenizer with a vocabulary of our own (any byte can be spelt) and a small CLIP
text encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from pentimento.demo.captions import EXTRA_WORDS, caption
from pentimento.demo.scene import draw_scene

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
