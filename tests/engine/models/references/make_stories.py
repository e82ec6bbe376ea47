#!/usr/bin/env python3
"""Writes stories.json: greedy continuations of the real stories260K model, computed straight from llama2.c's files.

Independent of the conversion it checks: it reads the legacy binary itself, rotates neighbouring pairs as llama2.c does
(no permutation of q and k), tokenises by llama2.c's own greedy merge of the best-scored pair, and recomputes the whole
sequence for every new token in float64. Only token ids and text are stored, no weights.

    python3 make_stories.py [folder with stories260K.bin and tok512.bin]     # default: $SPLITFROZEN_SHARED/weights
"""

import json
import math
import os
import struct
import sys
from pathlib import Path

import numpy

BEGIN, NEW_TOKENS = 1, 120
PROMPTS = ["", "Once upon a time", "Lily and Ben saw a big dog.", "The café was 3 miles away, and Tom said: \"Hi!\"", "Tim's  cat 猫 ran."]


def read_model(path):
    raw = path.read_bytes()
    dim, inner, layers, heads, kv_heads, vocabulary, positions = struct.unpack("<7i", raw[:28])
    assert vocabulary > 0, "a negative vocabulary means an untied head, which this model has not"
    numbers, at = numpy.frombuffer(raw, dtype="<f4", offset=28).astype(numpy.float64), 0

    def take(*shape):
        nonlocal at
        count = math.prod(shape)
        at += count
        return numbers[at - count: at].reshape(shape)

    width = dim // heads
    model = {"dim": dim, "layers": layers, "heads": heads, "kv_heads": kv_heads, "positions": positions, "width": width}
    for name, shape in [("embedding", (vocabulary, dim)), ("attention_norm", (layers, dim)), ("wq", (layers, dim, dim)),
                        ("wk", (layers, kv_heads * width, dim)), ("wv", (layers, kv_heads * width, dim)), ("wo", (layers, dim, dim)),
                        ("mlp_norm", (layers, dim)), ("w1", (layers, inner, dim)), ("w2", (layers, dim, inner)),
                        ("w3", (layers, inner, dim)), ("final_norm", (dim,)), ("cosines", (positions, width // 2)),
                        ("sines", (positions, width // 2))]:
        model[name] = take(*shape)
    assert at == len(numbers), f"{len(numbers) - at} numbers left over"
    return model


def norm(x, weight):
    return x / numpy.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight


def rotate(x, positions):
    """x [T, heads, D]: elements 2j and 2j+1 are turned by position * 10000^(-2j/D)."""
    width = x.shape[-1]
    angle = positions[:, None] * 10000.0 ** (-numpy.arange(0, width, 2) / width)[None]
    cos, sin = numpy.cos(angle)[:, None], numpy.sin(angle)[:, None]
    out = numpy.empty_like(x)
    out[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
    out[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
    return out


def logits(model, tokens):
    """Logits [V] after the last token."""
    x, count, width = model["embedding"][tokens], len(tokens), model["width"]
    positions = numpy.arange(count)
    future = positions[None, :] > positions[:, None]
    for i in range(model["layers"]):
        y = norm(x, model["attention_norm"][i])
        q = rotate((y @ model["wq"][i].T).reshape(count, model["heads"], width), positions)
        k = rotate((y @ model["wk"][i].T).reshape(count, model["kv_heads"], width), positions)
        v = (y @ model["wv"][i].T).reshape(count, model["kv_heads"], width)
        mixed = numpy.empty_like(q)
        for head in range(model["heads"]):
            shared = head // (model["heads"] // model["kv_heads"])
            scores = q[:, head] @ k[:, shared].T / math.sqrt(width)
            scores[future] = -numpy.inf
            weights = numpy.exp(scores - scores.max(-1, keepdims=True))
            mixed[:, head] = weights / weights.sum(-1, keepdims=True) @ v[:, shared]
        x = x + mixed.reshape(count, -1) @ model["wo"][i].T
        y = norm(x, model["mlp_norm"][i])
        gate = y @ model["w1"][i].T
        x = x + (gate / (1 + numpy.exp(-gate)) * (y @ model["w3"][i].T)) @ model["w2"][i].T
    return norm(x[-1], model["final_norm"]) @ model["embedding"].T


def read_vocabulary(path, size):
    raw, at, pieces = path.read_bytes(), 4, []
    for _ in range(size):
        score, length = struct.unpack_from("<fi", raw, at)
        pieces.append((raw[at + 8: at + 8 + length], score))
        at += 8 + length
    assert at == len(raw)
    return pieces


def encode(pieces, text):
    """llama2.c's encode: a leading space, characters (or bytes, three ids up), then the best-scored merge until none is left."""
    if not text:
        return []
    ids = {}
    for i, (piece, _) in enumerate(pieces):
        ids.setdefault(piece, i)
    tokens = []
    for character in " " + text:
        piece = character.encode()
        tokens += [ids[piece]] if piece in ids else [byte + 3 for byte in piece]
    while True:
        best = None
        for i in range(len(tokens) - 1):
            merged = ids.get(pieces[tokens[i]][0] + pieces[tokens[i + 1]][0])
            if merged is not None and (best is None or pieces[merged][1] > best[0]):
                best = (pieces[merged][1], i, merged)
        if best is None:
            return tokens
        tokens[best[1]: best[1] + 2] = [best[2]]


def decode(pieces, tokens):
    out = b""
    for token in tokens:
        piece = pieces[token][0]
        if len(piece) == 6 and piece.startswith(b"<0x"):
            piece = bytes([int(piece[3:5], 16)])
        out += piece
    return out.decode("utf-8", errors="replace")


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ["SPLITFROZEN_SHARED"] + "/weights")
    model = read_model(folder / "stories260K.bin")
    pieces = read_vocabulary(folder / "tok512.bin", model["embedding"].shape[0])
    runs, smallest = [], math.inf
    for prompt in PROMPTS:
        tokens = [BEGIN] + encode(pieces, prompt)
        start = len(tokens)
        for _ in range(NEW_TOKENS):
            scores = logits(model, tokens)
            best = int(scores.argmax())
            second = numpy.partition(scores, -2)[-2]
            smallest = min(smallest, float(scores[best] - second))
            if best == BEGIN:
                break
            tokens.append(best)
        runs.append({"prompt": prompt, "prompt_ids": tokens[:start], "new_ids": tokens[start:],
                     "first_logits": [round(float(s), 6) for s in logits(model, tokens[:start])[:8]],
                     "text": decode(pieces, tokens[start:])})
        print(json.dumps(prompt), len(tokens) - start, decode(pieces, tokens[1:]), sep="\n  ")
    print(f"smallest lead of the chosen token: {smallest:.4f}")
    assert smallest > 1e-3, "a near tie: float32 may choose otherwise"
    (Path(__file__).parent / "stories.json").write_text(json.dumps({"smallest_lead": smallest, "runs": runs}) + "\n")


if __name__ == "__main__":
    main()
