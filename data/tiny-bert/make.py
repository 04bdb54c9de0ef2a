#!/usr/bin/env python3
"""Makes the encoders of this folder and what PyTorch and transformers compute with them.

    pip install torch transformers tokenizers sentencepiece safetensors
    python3 data/tiny-bert/make.py

One encoder for each architecture: random weights, a vocabulary made from the titles of data/finna-sample. Beside each
lies `expected.safetensors`:

  ids, starts    the token numbers of the first test titles (1,000, or 100 but for BERT), then of hard.json, one after the
                 other; where each begins
  mean, cls      the vectors of the first 20 titles and of hard.json, normalised
  weights        the loss of the gradients is the sum of these times the vectors (mean, not normalised) of the titles 20..28
  grad.*         the gradient of each parameter; of a table of embeddings the rows that are not zero, and as `.rows` which

Same versions, same bytes.
"""

import gzip
import json
import os
import tempfile
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import sentencepiece
import tokenizers
import torch
import transformers
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "finna-sample"
N_VECTORS, N_GRADIENT = 20, 8
MAX_LENGTH = 128

HARD = [
    "",
    " ",
    "\t\n\r ",
    "a",
    "[UNK]",
    "Crème brûlée à la façon d'Éva, naïve coöperation; Ångström ÅÄÖ",
    "e\u0301tude (decomposed) and \u00e9tude",
    "İstanbul DİYARBAKIR ıI",
    "ΟΔΥΣΣΕΥΣ και Σίσυφος",
    "Straße STRASSE ﬁne ﬂow ﬃ",
    "東京大学で日本語を勉強する",
    "한국어 문장입니다",
    "ภาษาไทย",
    "Привет, мир! Ёлка",
    "שלום עולם مرحبا بالعالم",
    "हिन्दी में",
    "zero\u200bwidth\u200djoiner\ufeffbom soft\u00adhyphen",
    "no\u00a0break\u2003em\u3000ideographic\u2028line\u2029paragraph",
    "control\x00\x01\x07\x1b\x7f\x85chars",
    "replacement \ufffd character",
    "emoji 👍🏽 👨‍👩‍👧‍👦 🇫🇮 ☃️",
    "math ∑∫√π ≠ ½ ² ₃ №",
    "quotes “curly” ‘single’ «guillemets» — dash – en … ellipsis",
    "don't can't it's 1,234.56 $5 50% a@b.c #tag /path\\back `tick` ^~|",
    "snake_case-and-hyphen's",
    "x" * 99,
    "y" * 100,
    "z" * 101,
    "word " * 200,
    "1234567890" * 30,
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠀀𠀁 🄰",
    "\u0301combining first",
    "a\u0300\u0301\u0302\u0303b",
    "ⅷ Ⅷ ㎏ ﷺ",
    "ǅ ǆ ŉ ß ẞ",
    "\U000e0041tag \ue000private",
]


def titles(name):
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        return [line.rstrip("\n").split("\t")[1] for line in lines]


def randomize(model, seed):
    """Weights large enough for attention to differ from a mean, and none at its default."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            is_norm = "norm" in name.lower() and name.endswith("weight")
            scale = 0.1 if is_norm or name.endswith("bias") else 0.25
            parameter.copy_(float(is_norm) + scale * noise)


def vectors(model, rows, padding, pooling):
    length = max(map(len, rows))
    ids = torch.tensor([row + [padding] * (length - len(row)) for row in rows])
    mask = torch.tensor([[1.0] * len(row) + [0.0] * (length - len(row)) for row in rows])
    states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    if pooling == "cls":
        return states[:, 0]
    return (states * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)


def gradients(model, rows, padding, expected):
    pooled = vectors(model, rows, padding, "mean")
    expected["weights"] = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(3))
    (pooled * expected["weights"]).sum().backward()
    for name, parameter in model.named_parameters():
        if "embeddings.weight" not in name:
            expected[f"grad.{name}"] = parameter.grad
            continue
        used = parameter.grad.abs().sum(1).nonzero().squeeze(1)
        expected[f"grad.{name}"] = parameter.grad[used].contiguous()
        expected[f"grad.{name}.rows"] = used


def write(folder, model, encode, titles, hard, seed):
    """`encode` maps a text to token numbers."""
    randomize(model, seed)
    model.eval()
    padding = model.config.pad_token_id
    rows = [encode(text) for text in titles + hard]
    starts = [0]
    for row in rows:
        starts.append(starts[-1] + len(row))
    expected = {
        "ids": torch.tensor([token for row in rows for token in row], dtype=torch.uint16),
        "starts": torch.tensor(starts, dtype=torch.int32),
    }
    chosen = rows[:N_VECTORS] + rows[len(titles) :]
    with torch.no_grad():
        for pooling in ["mean", "cls"]:
            # One by one: no padding, no mask.
            each = [vectors(model, [row], padding, pooling) for row in chosen]
            expected[pooling] = torch.nn.functional.normalize(torch.cat(each))
    gradients(model, rows[N_VECTORS : N_VECTORS + N_GRADIENT], padding, expected)
    folder.mkdir(exist_ok=True)
    model.config.to_json_file(folder / "config.json", use_diff=True)
    config = json.loads((folder / "config.json").read_text())
    for key in ["transformers_version", "dtype"]:
        config.pop(key, None)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_file({name: value.contiguous() for name, value in model.named_parameters()}, folder / "model.safetensors")
    save_file(expected, folder / "expected.safetensors")


def word_pieces(folder, train, size):
    trainer = tokenizers.BertWordPieceTokenizer(lowercase=True)
    trainer.train_from_iterator(train, vocab_size=size, show_progress=False)
    folder.mkdir(exist_ok=True)
    pieces = sorted(trainer.get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece, _ in pieces), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}\n')
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    return lambda text: tokenizer(text, truncation=True, max_length=MAX_LENGTH)["input_ids"]


def byte_pairs(folder, train):
    trainer = tokenizers.ByteLevelBPETokenizer()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer.train_from_iterator(train, vocab_size=300, special_tokens=specials, show_progress=False)
    folder.mkdir(exist_ok=True)
    trainer.save_model(str(folder))
    tokenizer = transformers.RobertaTokenizer.from_pretrained(folder)
    return lambda text: tokenizer(text, truncation=True, max_length=MAX_LENGTH)["input_ids"]


def sentence_pieces(folder, train):
    """XLM-R's numbers: its four first tokens, then SentencePiece's without its three, a mask at the end."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        prefix = Path(temporary) / "model"
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(train), model_prefix=str(prefix), vocab_size=300, model_type="unigram",
            normalization_rule_name="identity", num_threads=1, minloglevel=2,
        )
        (folder / "sentencepiece.bpe.model").write_bytes(prefix.with_suffix(".model").read_bytes())
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sentencepiece.bpe.model"))
    inner = lambda text: [piece + 1 if piece else 3 for piece in model.encode(text)]
    return lambda text: [0] + inner(text)[: MAX_LENGTH - 2] + [2], model.get_piece_size() + 2


def main():
    train, test = titles("train.tsv.gz")[:5000], titles("test.tsv.gz")[:1000]
    (HERE / "hard.json").write_text(json.dumps(HARD, indent=1) + "\n")

    bert = transformers.BertConfig(
        vocab_size=640, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=128,
    )
    encode = word_pieces(HERE, train, 640)
    write(HERE, transformers.BertModel(bert, add_pooling_layer=False), encode, test, HARD, 1)

    folder = HERE / "distilbert"
    distilbert = transformers.DistilBertConfig(
        vocab_size=300, dim=8, n_layers=1, n_heads=2, hidden_dim=16, max_position_embeddings=128,
    )
    encode = word_pieces(folder, train, 300)
    write(folder, transformers.DistilBertModel(distilbert), encode, test[:100], HARD, 2)

    small = dict(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=4, intermediate_size=16, type_vocab_size=1,
        max_position_embeddings=130, pad_token_id=1, layer_norm_eps=1e-5,
    )
    folder = HERE / "roberta"
    encode = byte_pairs(folder, train)
    roberta = transformers.RobertaConfig(vocab_size=300, **small)
    write(folder, transformers.RobertaModel(roberta, add_pooling_layer=False), encode, test[:100], HARD, 3)

    # SentencePiece normalises by a table of half a megabyte, left out here; so titles only.
    folder = HERE / "xlm-roberta"
    encode, size = sentence_pieces(folder, train)
    xlm = transformers.XLMRobertaConfig(vocab_size=size, **small)
    write(folder, transformers.XLMRobertaModel(xlm, add_pooling_layer=False), encode, test[:100], [], 4)


main()
