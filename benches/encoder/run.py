#!/usr/bin/env python3
"""Compares encoding with PyTorch and transformers: the same titles, the same encoder, the same batches, in turns.

    cargo xtask torch && cargo xtask encoder
    python3 benches/encoder/run.py [--encoder DIRECTORY] [--texts N] [--threads N] [--rounds N]

Needs torch, transformers and numpy. Both tokenise, sort by length, and take batches of equally many tokens; each runs
`--rounds` times, and the medians are compared. The ratio is above 1 where xmc is faster.
"""

import argparse
import gzip
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, default=ROOT / "target/encoders/all-MiniLM-L6-v2")
    parser.add_argument("--titles", type=Path, default=ROOT / "data/finna-sample/train.tsv.gz")
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-tokens", type=int, nargs="*", default=[1024, 4096], help="of Python's batches: the best counts")
    return parser.parse_args()


def read(path, n_texts):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [line.rstrip("\n").split("\t")[1] for _, line in zip(range(n_texts), lines)]


def xmc(args, texts):
    """Seconds of each round, and the vectors."""
    import numpy

    # Built where cargo was told to build; asked for as cargo tells it.
    build = ["cargo", "build", "--release", "--locked", "-p", "xmc-xrtransformer", "--example", "encode"]
    subprocess.run(build, cwd=ROOT, check=True)
    program = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/examples/encode"
    with tempfile.TemporaryDirectory() as folder:
        lines, vectors = Path(folder) / "texts", Path(folder) / "vectors"
        lines.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        command = [program, args.encoder, lines, str(args.rounds), vectors]
        environment = dict(os.environ, RAYON_NUM_THREADS=str(args.threads))
        printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        seconds = [float(line) for line in printed.split()]
        return seconds[1:], numpy.fromfile(vectors, dtype="<f4").reshape(len(texts), -1)


class Python:
    def __init__(self, args):
        import torch
        import transformers

        transformers.logging.set_verbosity_error()
        torch.set_num_threads(args.threads)
        self.torch = torch
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(args.encoder)
        self.model = transformers.AutoModel.from_pretrained(args.encoder, attn_implementation="sdpa").eval()

    def encode(self, texts, batch_tokens):
        torch = self.torch
        rows = self.tokenizer(texts, truncation=True, max_length=128)["input_ids"]
        order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
        out = torch.zeros(len(rows), self.model.config.hidden_size)
        with torch.inference_mode():
            start = 0
            while start < len(order):
                length = len(rows[order[start]])
                batch = order[start : start + max(1, batch_tokens // length)]
                ids = torch.tensor([rows[row] + [0] * (length - len(rows[row])) for row in batch])
                mask = torch.tensor([[1] * len(rows[row]) + [0] * (length - len(rows[row])) for row in batch])
                states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
                weights = mask.unsqueeze(-1).float()
                pooled = (states * weights).sum(1) / weights.sum(1)
                out[torch.tensor(batch)] = torch.nn.functional.normalize(pooled)
                start += len(batch)
        return out.numpy()


def main():
    args = arguments()
    texts = read(args.titles, args.texts)
    python = Python(args)
    ours, found, theirs = [], None, {tokens: [] for tokens in args.batch_tokens}
    for _ in range(args.rounds):
        seconds, found = xmc(argparse.Namespace(**{**vars(args), "rounds": 1}), texts)
        ours += seconds
        for tokens in args.batch_tokens:
            start = time.perf_counter()
            expected = python.encode(texts, tokens)
            theirs[tokens].append(time.perf_counter() - start)
    best = min(theirs, key=lambda tokens: statistics.median(theirs[tokens]))
    mine, other = statistics.median(ours), statistics.median(theirs[best])
    print(f"{len(texts)} titles, {args.threads} threads, medians of {args.rounds}")
    print(f"xmc      {mine:7.2f} s  {len(texts) / mine:7.0f} titles/s")
    print(f"PyTorch  {other:7.2f} s  {len(texts) / other:7.0f} titles/s  ({python.torch.__version__}, batches of {best} tokens)")
    print(f"ratio    {other / mine:7.2f}")
    print(f"largest difference of a value: {abs(found - expected).max():.1e}")


main()
