"""Steps of LoRA fine-tuning in plain PyTorch, with autograd: a peer for `bench -- peers`, which says what is compared.

GPT-2-small shapes, random weights, LoRA of rank 8 on c_attn, a two-class head on the last token, AdamW, f32.
Prints the milliseconds of each step, one a line, after two that make it warm.

    python3 training_step.py upper|splitlora|linear --threads 1 --rounds 5

`linear` is one product of 1024 x 768 by 768 x 3072, which tells a PyTorch without a fast BLAS.
"""

import argparse
import math
import time

import torch
from torch import nn
from torch.nn import functional

WIDTH, HEADS, RANK, SEQUENCES, LENGTH, BLOCKS, VOCABULARY, CLASSES = 768, 12, 8, 8, 128, 6, 1024, 2


class LoraLinear(nn.Module):
    """A frozen linear layer with a low-rank update that trains, scaled by alpha / r = 2."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.frozen = nn.Linear(inputs, outputs).requires_grad_(False)
        self.a = nn.Parameter(torch.randn(RANK, inputs) / RANK)
        self.b = nn.Parameter(torch.zeros(outputs, RANK))

    def forward(self, x):
        return self.frozen(x) + 2 * functional.linear(functional.linear(x, self.a), self.b)


class Block(nn.Module):
    """A GPT-2 block; all but its adapter is frozen."""

    def __init__(self):
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.projection, self.up, self.down = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        for frozen in (self.norm_1, self.norm_2, self.projection, self.up, self.down):
            frozen.requires_grad_(False)
        self.query_key_value = LoraLinear(WIDTH, 3 * WIDTH)
        self.register_buffer("mask", torch.full((LENGTH, LENGTH), -math.inf).triu(1))

    def forward(self, x):
        heads = (SEQUENCES, LENGTH, HEADS, WIDTH // HEADS)
        query, key, value = (part.view(heads).transpose(1, 2) for part in self.query_key_value(self.norm_1(x)).split(WIDTH, dim=2))
        scores = query @ key.transpose(2, 3) / math.sqrt(WIDTH // HEADS) + self.mask
        mixed = (scores.softmax(3) @ value).transpose(1, 2).reshape(SEQUENCES, LENGTH, WIDTH)
        x = x + self.projection(mixed)
        return x + self.down(functional.gelu(self.up(self.norm_2(x)), approximate="tanh"))


class Upper(nn.Module):
    """Six blocks and the head: what the server trains."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.norm, self.head = nn.LayerNorm(WIDTH).requires_grad_(False), nn.Linear(WIDTH, CLASSES, bias=False)

    def forward(self, hidden):
        return self.head(self.norm(self.blocks(hidden)[:, -1]))


class Lower(nn.Module):
    """Embeddings and six blocks with adapters: what a device trains in SplitLoRA."""

    def __init__(self):
        super().__init__()
        self.tokens, self.positions = (nn.Embedding(rows, WIDTH).requires_grad_(False) for rows in (VOCABULARY, LENGTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))

    def forward(self, tokens):
        return self.blocks(self.tokens(tokens) + self.positions.weight)


def optimizer(model):
    return torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-4)


def upper_step():
    """Hidden states come in, nothing goes back."""
    upper = Upper()
    adam = optimizer(upper)
    hidden, labels = torch.randn(SEQUENCES, LENGTH, WIDTH), torch.arange(SEQUENCES) % CLASSES

    def step():
        adam.zero_grad(set_to_none=True)
        functional.cross_entropy(upper(hidden), labels).backward()
        adam.step()

    return step


def splitlora_step():
    """The device runs forward, the server forward and backward, and the device backward by the gradient that it is sent."""
    lower, upper = Lower(), Upper()
    device, server = optimizer(lower), optimizer(upper)
    tokens, labels = torch.randint(VOCABULARY, (SEQUENCES, LENGTH)), torch.arange(SEQUENCES) % CLASSES

    def step():
        device.zero_grad(set_to_none=True)
        server.zero_grad(set_to_none=True)
        smashed = lower(tokens)
        received = smashed.detach().requires_grad_()
        functional.cross_entropy(upper(received), labels).backward()
        server.step()
        smashed.backward(received.grad)
        device.step()

    return step


def linear_step():
    """What the machine makes of a large linear layer."""
    x, weight = torch.randn(SEQUENCES * LENGTH, WIDTH), torch.randn(4 * WIDTH, WIDTH)
    return lambda: functional.linear(x, weight)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["upper", "splitlora", "linear"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(arguments.threads)
    step = {"upper": upper_step, "splitlora": splitlora_step, "linear": linear_step}[arguments.step]()
    for round_ in range(-2, arguments.rounds):
        started = time.perf_counter()
        step()
        if round_ >= 0:
            print(f"{(time.perf_counter() - started) * 1e3:.1f}", flush=True)


if __name__ == "__main__":
    main()
