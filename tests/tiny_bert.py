"""A BERT of a few thousand weights in a folder, with all files of a real one and a tokenizer."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from poolbench.data.loaders import movie_reviews

WIDTH, DEPTH, WORDS = 32, 5, 500


REVIEWS: Any = {"validation_size": 1000, "test_size": 2530}


def save_tiny_bert(folder: Path) -> Path:
    """Save a model whose vocabulary has the most frequent words of some film reviews."""
    reviews = movie_reviews("rotten_tomatoes", **REVIEWS, max_examples=300)["train"]["text"]
    counts = Counter(re.findall(r"\w+|[^\w\s]", " ".join(reviews).lower()))
    letters = sorted({letter for word in counts for letter in word})
    words = sorted(counts, key=lambda word: (-counts[word], word))[:WORDS]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = dict.fromkeys([*special, *letters, *(f"##{letter}" for letter in letters), *words])
    vocab = {piece: place for place, piece in enumerate(pieces)}
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocab),
        hidden_size=WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        # With small weights all hidden states would be similar.
        initializer_range=0.2,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(vocab=vocab, model_max_length=64).save_pretrained(folder)
    return folder


def tiny_bert(folder: Path) -> list[str]:
    """Overrides that select the model; it is saved below ``folder`` at the first call."""
    where = folder / "tiny-bert"
    if not where.exists():
        save_tiny_bert(where)
    return ["encoder=pretrained", f"encoder.name={where}", "encoder.max_length=64"]
