#!/usr/bin/env python3
"""Writes references.json: hard texts and their ids, by a byte-pair encoder written here from the published algorithms.

GPT-2: encoder.py of openai/gpt-2 (merge the pair with the lowest rank until none is left). Llama 3: the ranks of tiktoken (a
piece found whole is one token; else join the neighbours whose joined bytes have the lowest rank). Stories: encode() of
llama2.c's run.c over its 512 tokens (join the neighbours whose joined text has the highest score; bytes for other
characters). Needs Python 3 and the `regex` package, no tokenizer library:

    python3 make_references.py SHARED_FOLDER    # holds vocab/gpt2_*, vocab/llama3_tokenizer.model and weights/tok512.bin
"""

import base64
import json
import struct
import sys
from pathlib import Path

import regex

GPT2 = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
LLAMA3 = regex.compile(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

TEXTS = [
    "", " ", "  ", "       ", "\t", "\t\t\t x", "\n", "\n\n", "\n\n\n", "\r\n", " \n ", "a \n\n b", "   leading", "trailing   ",
    "two  spaces   three    four", "tab\tseparated\tvalues", "line one\nline two\r\nline three\rline four", "no-break\u00a0space\u2003em\u3000wide",
    "Hello world", "Hello, world!", "hello WORLD HeLLo", "The quick brown fox jumps over the lazy dog.",
    "I'm you're he's we've they'll I'd don't", "I'M YOU'RE HE'S WE'VE THEY'LL I'D DON'T", "it's 'quoted' 's 't 're", "rock'n'roll o'clock ''''s",
    "\u2019s curly \u2018quotes\u2019 don\u2019t", "0 1 12 123 1234 12345 123456 1234567890", "3.14159 1,000,000 -42 +7 1e-10 0x1F 50%", "2024-01-31T12:34:56Z",
    "\u0663\u0664\u0665 \u096a\u096b \u00bd \u2167 \u00b2 \u2460", "abc123def456", "$5 \u20ac10 \u00a320 \u00a5500",
    "caf\u00e9 na\u00efve r\u00e9sum\u00e9 \u00fcber stra\u00dfe", "cafe\u0301 decomposed n\u0303", "\u0130stanbul \u0131\u015f\u0131k \u017f \u212a",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3067\u3059\u3002", "\u4f60\u597d\uff0c\u4e16\u754c\uff01", "\ud55c\uad6d\uc5b4 \ud14d\uc2a4\ud2b8", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645\u060c \u0643\u064a\u0641 \u062d\u0627\u0644\u0643\u061f",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01",
    "\u03b1\u03b2\u03b3 \u2211\u222b\u221a \u2260 \u2264 \u221e", "\U0001f600", "smile \U0001f600\U0001f603 !", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 family", "\U0001f44d\U0001f3fd thumbs", "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7 flags",
    "\U0001d400\U0001d401 bold", "a\U0001d400b", "!\U0001d400\U0001d401!", "(\U0001d11e)", "\U00010400\U00010428 deseret", "\U0001d7ce\U0001d7cf\U0001d7d0\U0001d7d1 digits", "x\U0001d7ceY 1\U0001d7cf2", "'\U0001d42c and \U0001d42c's",
    "\U00020000\U0002070e CJK beyond", " \U00020000", "\U000e0041 tag \U000f0000 private \U0001fbf0", "\ue000 \ufffd \ufeff bom",
    "def f(x):\n    return x**2  # square\n", "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}\n", "<div class=\"a\">&nbsp;</div>", "SELECT * FROM t WHERE a != 'b' -- c", "if(a&&b||!c){return;}", "https://example.org/a?b=c&d=%20#e", "user@example.org", "C:\\path\\to\\file.txt", "snake_case camelCase PascalCase SCREAMING_CASE kebab-case",
    "<|endoftext|>", "a<|endoftext|>b", "<|begin_of_text|><|eot_id|> <|start_header_id|>system", "<s>[INST] x [/INST]</s> <unk> <0x41>",
    "...!!!???", "----====____", "\u2014 en\u2013dash \u2026 \u201cquoted\u201d", "\x00\x01\x02\x7f", "a\u200bb\u200cc\u00ad", "\x0b\x0c\x85 \u2028 \u2029 \x1c\x1d\x1e\x1f x",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "hahahahahahahaha lololololol", "Zalgo t\u0336\u0321\u0317e\u0335x\u0337t\u0338", "\u1e9e \u01c5 \u02b0 \u0301 \u0488", " 's", "  's", "x 's 1's\n's", "it'\u017f '\u212a o'Sx",
]


def bytes_to_unicode():
    kept = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    symbols, extra = {b: chr(b) for b in kept}, 0
    for b in range(256):
        if b not in symbols:
            symbols[b] = chr(256 + extra)
            extra += 1
    return symbols


class Gpt2:
    def __init__(self, folder):
        self.ids = json.loads((folder / "gpt2_encoder.json").read_text(encoding="utf-8"))
        lines = (folder / "gpt2_vocab.bpe").read_text(encoding="utf-8").split("\n")[1:-1]
        self.ranks = {tuple(line.split()): rank for rank, line in enumerate(lines)}
        self.symbols = bytes_to_unicode()

    def encode(self, text):
        ids = []
        for piece in GPT2.findall(text):
            word = tuple(self.symbols[b] for b in piece.encode("utf-8"))
            while len(word) > 1:
                best = min(zip(word, word[1:]), key=lambda pair: self.ranks.get(pair, 1 << 60))
                if best not in self.ranks:
                    break
                joined, i = [], 0
                while i < len(word):
                    if word[i:i + 2] == best:
                        joined.append(word[i] + word[i + 1])
                        i += 2
                    else:
                        joined.append(word[i])
                        i += 1
                word = tuple(joined)
            ids += [self.ids[token] for token in word]
        return ids


class Llama3:
    def __init__(self, folder):
        lines = (folder / "llama3_tokenizer.model").read_bytes().splitlines()
        self.ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}

    def encode(self, text):
        ids = []
        for piece in LLAMA3.findall(text):
            piece = piece.encode("utf-8")
            if piece in self.ranks:
                ids.append(self.ranks[piece])
                continue
            parts = [piece[i:i + 1] for i in range(len(piece))]
            while len(parts) > 1:
                rank, at = min((self.ranks.get(parts[i] + parts[i + 1], 1 << 60), i) for i in range(len(parts) - 1))
                if rank == 1 << 60:
                    break
                parts[at:at + 2] = [parts[at] + parts[at + 1]]
            ids += [self.ranks[part] for part in parts]
        return ids


class Stories:
    def __init__(self, path):
        data, at, self.ids, self.scores = path.read_bytes(), 4, {}, []
        while at < len(data):
            score, length = struct.unpack_from("<fi", data, at)
            self.ids[data[at + 8:at + 8 + length].decode("utf-8")] = len(self.scores)
            self.scores.append(score)
            at += 8 + length

    def encode(self, text):
        ids = []
        parts = [" "] + list(text) if text else []
        while True:
            joined = [(self.ids.get(a + b), i) for i, (a, b) in enumerate(zip(parts, parts[1:]))]
            joined = [(-self.scores[token], i) for token, i in joined if token is not None]
            if not joined:
                break
            _, at = min(joined)
            parts[at:at + 2] = [parts[at] + parts[at + 1]]
        for part in parts:
            ids += [self.ids[part]] if part in self.ids else [b + 3 for b in part.encode("utf-8")]
        return ids


def main():
    folder = Path(sys.argv[1])
    gpt2, llama3, stories = Gpt2(folder / "vocab"), Llama3(folder / "vocab"), Stories(folder / "weights" / "tok512.bin")
    encoders = {"gpt2": gpt2, "llama3": llama3, "stories": stories}
    rows = [{"text": text, **{name: encoder.encode(text) for name, encoder in encoders.items()}} for text in TEXTS]
    body = ",\n".join(json.dumps(row) for row in rows)
    Path(__file__).with_name("references.json").write_text(f"[\n{body}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
