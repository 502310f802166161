"""Makes merges.txt.gz, CLIP's byte pair encoding, from the file that the package open-clip-torch carries.

    python make.py open_clip/bpe_simple_vocab_16e6.txt.gz

The first 48,894 merges are those that CLIP uses (its simple_tokenizer.py); the vocabulary follows from them.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Final

MERGES: Final = 49152 - 256 - 2


def make(source: Path, goal: Path) -> None:
    """Writes the used merges of `source` to `goal`, always the same bytes."""
    lines = gzip.decompress(source.read_bytes()).decode("utf-8").split("\n")[1 : 1 + MERGES]
    goal.write_bytes(gzip.compress("\n".join(lines).encode("utf-8"), 9, mtime=0))


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(__file__).with_name("merges.txt.gz"))
