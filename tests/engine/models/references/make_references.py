#!/usr/bin/env python3
"""Writes the stored references that the C# engine's parity tests compare against.

An independent formulation of GPT-2, Llama and LoRA in plain PyTorch: padded batches with explicit masks, einsum instead of
matmul, rotary positions as complex numbers, no fused attention, gradients by autograd in float64. Weights and adapters are
drawn from fixed seeds and rounded to the type they are stored in, so every reader starts from exactly the same numbers.

    python3 make_references.py [folder]       # needs numpy and torch only; the folder defaults to this script's own

The stories references (stories.json) come from make_stories.py, which needs the real weights.
"""

import json
import math
import sys
from pathlib import Path

import numpy
import torch

torch.set_num_threads(1)
IGNORED = -100
ORDERED_TYPES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}


def write_safetensors(path, tensors, metadata=None):
    """The format: u64 header length, JSON header padded with spaces to 8 bytes, raw little-endian data in header order."""
    header, blobs, offset = {}, [], 0
    if metadata:
        header["__metadata__"] = metadata
    for name, tensor in tensors.items():
        tensor = tensor.detach().contiguous()
        raw = tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor
        blob = raw.numpy().tobytes()
        header[name] = {"dtype": ORDERED_TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, offset + len(blob)]}
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


class Draw:
    """Gaussian numbers from one seed, rounded to the storage type and returned in float64."""

    def __init__(self, seed, storage):
        self.generator = numpy.random.Generator(numpy.random.PCG64(seed))
        self.storage = storage

    def __call__(self, *shape, std, mean=0.0):
        numbers = torch.from_numpy(self.generator.standard_normal(shape) * std + mean)
        return numbers.to(self.storage).to(torch.float64)


# ---------------------------------------------------------------------------------------------------------- models

class LowRank:
    """The adapter's part of one linear layer: scale * (x A^T) B^T, in PEFT's layout A [r, in], B [out, r]."""

    def __init__(self, parameters, scale):
        self.parameters, self.scale = parameters, scale

    def __call__(self, layer, x):
        a = self.parameters.get(layer + ".lora_A.weight")
        if a is None:
            return 0.0
        b = self.parameters[layer + ".lora_B.weight"]
        return self.scale * torch.einsum("btr,or->bto", torch.einsum("bti,ri->btr", x, a), b)


def attention(q, k, v, real):
    """q, k, v [B, T, heads, D]; real [B, T] marks the tokens that are no padding. Softmax written out."""
    length = q.shape[1]
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
    earlier = torch.arange(length)[:, None] >= torch.arange(length)[None, :]
    allowed = earlier[None, None] & real[:, None, None, :]
    allowed = allowed | torch.eye(length, dtype=torch.bool)[None, None]  # a pad looks at itself, so no row is empty
    scores = torch.where(allowed, scores, torch.full_like(scores, -1e300))
    weights = torch.exp(scores - scores.amax(dim=-1, keepdim=True))
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return torch.einsum("bhqk,bkhd->bqhd", weights, v).flatten(2)


class Gpt2:
    family = "gpt2"
    prefix = "transformer."
    targets = ["c_attn", "c_proj", "c_fc"]

    def __init__(self, layers, width, heads, vocabulary, positions, seed, storage):
        self.layers, self.width, self.heads, self.vocabulary, self.storage = layers, width, heads, vocabulary, storage
        self.config = {
            "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new",
            "n_layer": layers, "n_embd": width, "n_head": heads, "n_inner": None, "n_positions": positions, "n_ctx": positions,
            "vocab_size": vocabulary, "layer_norm_epsilon": 1e-5, "bos_token_id": vocabulary - 1, "eos_token_id": vocabulary - 1,
            "attn_pdrop": 0.1, "embd_pdrop": 0.1, "resid_pdrop": 0.1,
        }
        draw = Draw(seed, storage)
        w = self.weights = {"wte.weight": draw(vocabulary, width, std=0.05), "wpe.weight": draw(positions, width, std=0.03)}
        for i in range(layers):
            for name, rows, columns, gain in self.linears(i):
                w[name + ".weight"] = draw(rows, columns, std=gain / math.sqrt(rows))
                w[name + ".bias"] = draw(columns, std=0.1)
            for norm in (f"h.{i}.ln_1", f"h.{i}.ln_2"):
                w[norm + ".weight"], w[norm + ".bias"] = draw(width, std=0.2, mean=1.0), draw(width, std=0.1)
        w["ln_f.weight"], w["ln_f.bias"] = draw(width, std=0.2, mean=1.0), draw(width, std=0.1)

    def linears(self, i):
        h = self.width
        return [(f"h.{i}.attn.c_attn", h, 3 * h, 1.5), (f"h.{i}.attn.c_proj", h, h, 0.5),
                (f"h.{i}.mlp.c_fc", h, 4 * h, 1.0), (f"h.{i}.mlp.c_proj", 4 * h, h, 0.5)]

    def stored(self):
        return {self.prefix + name: value.to(self.storage) for name, value in self.weights.items()}

    def norm(self, name, x):
        centred = x - x.mean(dim=-1, keepdim=True)
        variance = (centred ** 2).mean(dim=-1, keepdim=True)
        return centred / torch.sqrt(variance + self.config["layer_norm_epsilon"]) * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def linear(self, name, x, adapter):
        return torch.einsum("bti,io->bto", x, self.weights[name + ".weight"]) + self.weights[name + ".bias"] + adapter(name, x)

    def embed(self, tokens):
        return self.weights["wte.weight"][tokens] + self.weights["wpe.weight"][: tokens.shape[1]][None]

    def block(self, i, x, real, adapter):
        heads = lambda y: y.reshape(y.shape[0], y.shape[1], self.heads, -1)
        q, k, v = self.linear(f"h.{i}.attn.c_attn", self.norm(f"h.{i}.ln_1", x), adapter).split(self.width, dim=-1)
        x = x + self.linear(f"h.{i}.attn.c_proj", attention(heads(q), heads(k), heads(v), real), adapter)
        u = self.linear(f"h.{i}.mlp.c_fc", self.norm(f"h.{i}.ln_2", x), adapter)
        gelu = 0.5 * u * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (u + 0.044715 * u ** 3)))
        return x + self.linear(f"h.{i}.mlp.c_proj", gelu, adapter)

    def final_norm(self, x):
        return self.norm("ln_f", x)

    def head(self):
        return self.weights["wte.weight"]


class Llama:
    family = "llama"
    prefix = "model."
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

    def __init__(self, layers, width, heads, kv_heads, inner, vocabulary, tied, seed, storage):
        self.layers, self.width, self.heads, self.kv_heads = layers, width, heads, kv_heads
        self.inner, self.vocabulary, self.tied, self.storage = inner, vocabulary, tied, storage
        self.config = {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "num_hidden_layers": layers,
            "hidden_size": width, "num_attention_heads": heads, "num_key_value_heads": kv_heads, "intermediate_size": inner,
            "vocab_size": vocabulary, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "tie_word_embeddings": tied,
            "bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1, "attention_bias": False, "mlp_bias": False,
            "rope_theta": 500000.0,
            # With 256 original positions the second frequency lies between the two limits and the rest are divided by 8.
            "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                             "original_max_position_embeddings": 256},
        }
        draw = Draw(seed, storage)
        w = self.weights = {"embed_tokens.weight": draw(vocabulary, width, std=0.05)}
        for i in range(layers):
            for name, rows, columns, gain in self.linears(i):
                w[name + ".weight"] = draw(columns, rows, std=gain / math.sqrt(rows))
            for norm in ("input_layernorm", "post_attention_layernorm"):
                w[f"layers.{i}.{norm}.weight"] = draw(width, std=0.2, mean=1.0)
        w["norm.weight"] = draw(width, std=0.2, mean=1.0)
        self.untied_head = None if tied else draw(vocabulary, width, std=0.3)
        self.scaled = True

    def linears(self, i):
        h, kv, p = self.width, self.width // self.heads * self.kv_heads, f"layers.{i}."
        return [(p + "self_attn.q_proj", h, h, 1.5), (p + "self_attn.k_proj", h, kv, 1.5), (p + "self_attn.v_proj", h, kv, 1.0),
                (p + "self_attn.o_proj", h, h, 0.5), (p + "mlp.gate_proj", h, self.inner, 1.0), (p + "mlp.up_proj", h, self.inner, 1.0),
                (p + "mlp.down_proj", self.inner, h, 0.5)]

    def stored(self):
        tensors = {self.prefix + name: value.to(self.storage) for name, value in self.weights.items()}
        if not self.tied:
            tensors["lm_head.weight"] = self.untied_head.to(self.storage)
        return tensors

    def norm(self, name, x):
        return x * (x.pow(2).mean(dim=-1, keepdim=True) + self.config["rms_norm_eps"]) ** -0.5 * self.weights[name + ".weight"]

    def linear(self, name, x, adapter):
        return torch.einsum("bti,oi->bto", x, self.weights[name + ".weight"]) + adapter(name, x)

    def frequencies(self):
        """Llama 3.1's rule: long waves are slowed by the factor, short ones kept, those between are blended linearly."""
        width, scaling, out = self.width // self.heads, self.config["rope_scaling"], []
        for j in range(width // 2):
            frequency = self.config["rope_theta"] ** (-2.0 * j / width)
            turns = scaling["original_max_position_embeddings"] * frequency / (2 * math.pi)
            share = (turns - scaling["low_freq_factor"]) / (scaling["high_freq_factor"] - scaling["low_freq_factor"])
            share = min(1.0, max(0.0, share)) if self.scaled else 1.0
            out.append(share * frequency + (1.0 - share) * frequency / scaling["factor"])
        return torch.tensor(out, dtype=torch.float64)

    def rotate(self, x):
        """x [B, T, heads, D]: element j and j + D/2 are one complex number, turned by position * frequency."""
        half = x.shape[-1] // 2
        angle = torch.arange(x.shape[1], dtype=torch.float64)[:, None] * self.frequencies()[None]
        turned = torch.complex(x[..., :half].contiguous(), x[..., half:].contiguous()) * torch.polar(torch.ones_like(angle), angle)[None, :, None]
        return torch.cat([turned.real, turned.imag], dim=-1)

    def embed(self, tokens):
        return self.weights["embed_tokens.weight"][tokens]

    def block(self, i, x, real, adapter):
        p = f"layers.{i}."
        heads = lambda y, count: y.reshape(y.shape[0], y.shape[1], count, -1)
        normed = self.norm(p + "input_layernorm", x)
        q = self.rotate(heads(self.linear(p + "self_attn.q_proj", normed, adapter), self.heads))
        k = self.rotate(heads(self.linear(p + "self_attn.k_proj", normed, adapter), self.kv_heads))
        v = heads(self.linear(p + "self_attn.v_proj", normed, adapter), self.kv_heads)
        shared = torch.tensor([h * self.kv_heads // self.heads for h in range(self.heads)])
        x = x + self.linear(p + "self_attn.o_proj", attention(q, k[:, :, shared], v[:, :, shared], real), adapter)
        normed = self.norm(p + "post_attention_layernorm", x)
        gate, up = self.linear(p + "mlp.gate_proj", normed, adapter), self.linear(p + "mlp.up_proj", normed, adapter)
        return x + self.linear(p + "mlp.down_proj", gate / (1.0 + torch.exp(-gate)) * up, adapter)

    def final_norm(self, x):
        return self.norm("norm", x)

    def head(self):
        return self.weights["embed_tokens.weight"] if self.tied else self.untied_head


# ------------------------------------------------------------------------------------------------ adapters and cases

def make_adapter(model, lowest, targets, rank, classes, seed):
    """Non-zero A and B for blocks [lowest, L), and score.weight where classes > 0; rounded to float32."""
    draw = Draw(seed, torch.float32)
    parameters = {}
    for i in range(lowest, model.layers):
        for name, rows, columns, _ in model.linears(i):
            if name.rsplit(".", 1)[1] in targets:
                parameters[name + ".lora_A.weight"] = draw(rank, rows, std=1.0 / math.sqrt(rows))
                parameters[name + ".lora_B.weight"] = draw(columns, rank, std=0.15)
    if classes > 0:
        parameters["score.weight"] = draw(classes, model.width, std=0.2)
    return parameters


def write_adapter(folder, model, parameters, lowest, targets, rank, alpha, rank_stabilized):
    """The PEFT form: base_model.model.<module path of the task model>.lora_A.weight, float32."""
    name = lambda n: "base_model.model." + (n if n == "score.weight" else model.prefix + n)
    write_safetensors(folder / "adapter_model.safetensors", {name(n): p.to(torch.float32) for n, p in parameters.items()})
    classification = "score.weight" in parameters
    write_json(folder / "adapter_config.json", {
        "peft_type": "LORA", "task_type": "SEQ_CLS" if classification else "CAUSAL_LM", "r": rank, "lora_alpha": alpha,
        "lora_dropout": 0.0, "target_modules": targets, "use_rslora": rank_stabilized, "bias": "none", "inference_mode": True,
        "fan_in_fan_out": model.family == "gpt2", "layers_to_transform": list(range(lowest, model.layers)),
        "modules_to_save": ["score"] if classification else None,
    })


def pad(sequences, filler):
    longest = max(map(len, sequences))
    rows = [list(s) + [filler] * (longest - len(s)) for s in sequences]
    return torch.tensor(rows, dtype=torch.int64)


def forward(model, sequences, adapter, classes):
    """Hidden states at every depth [B, T, H], and logits: [B, C] at the last real token, or [B, T, V]."""
    tokens = pad(sequences, 3)  # padding is an ordinary token on purpose: only the mask keeps it out
    real = torch.arange(tokens.shape[1])[None] < torch.tensor([len(s) for s in sequences])[:, None]
    depths = [model.embed(tokens)]
    for i in range(model.layers):
        depths.append(model.block(i, depths[-1], real, adapter))
    normed = model.final_norm(depths[-1])
    if classes == 0:
        return depths, torch.einsum("bth,vh->btv", normed, model.head())
    last = torch.stack([normed[row, len(s) - 1] for row, s in enumerate(sequences)])
    return depths, torch.einsum("bh,ch->bc", last, adapter.parameters["score.weight"])


def mean_loss(logits, labels):
    """Mean negative log likelihood over the rows whose label is not ignored; labels are the targets themselves."""
    logits, labels = logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)
    counted = labels != IGNORED
    logits, labels = logits[counted], labels[counted]
    shifted = logits - logits.amax(dim=-1, keepdim=True).detach()
    log_likelihood = shifted - torch.log(torch.exp(shifted).sum(dim=-1, keepdim=True))
    return -log_likelihood[torch.arange(len(labels)), labels].mean()


def packed(rows, sequences):
    return torch.cat([rows[i, : len(s)] for i, s in enumerate(sequences)])


def write_case(folder, name, model, sequences, labels, parameters, scale, classes, keep_depths, boundary):
    parameters = {n: p.clone().requires_grad_() for n, p in parameters.items()}
    depths, logits = forward(model, sequences, LowRank(parameters, scale), classes)
    targets = torch.tensor(labels) if classes else pad(labels, IGNORED)
    loss = mean_loss(logits, targets)
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    tensors = {
        "tokens": torch.tensor([t for s in sequences for t in s]), "lengths": torch.tensor([len(s) for s in sequences]),
        "labels": torch.tensor(labels if classes else [t for row in labels for t in row]), "loss": loss.reshape(1),
        "logits": logits if classes else packed(logits, sequences),
    }
    for n, g in zip(parameters, gradients):
        assert g.norm() > 1e-6, f"{name}: the gradient of {n} vanishes and would test nothing"
        tensors["gradient." + n] = g
    if keep_depths:
        for depth, hidden in enumerate(depths):
            tensors[f"hidden.{depth}"] = packed(hidden, sequences)
    write_safetensors(folder / f"{name}.safetensors", tensors, {"boundary": str(boundary), "scale": repr(scale), "classes": str(classes)})
    print(f"{folder.name}/{name}: loss {loss.item():.6f}, {len(gradients)} gradients, norm {math.sqrt(sum(g.pow(2).sum().item() for g in gradients)):.4f}")
    return loss.item()


def ten_steps(folder, name, model, samples, parameters, scale, classes, boundary):
    """AdamW as torch.optim.AdamW after clip_grad_norm_, constant rate, every parameter decayed; batches of four in turn."""
    setting = {"learning_rate": 0.005, "beta1": 0.9, "beta2": 0.98, "epsilon": 1e-8, "weight_decay": 0.1, "maximum_norm": 0.5, "batch": 4}
    parameters = {n: p.clone().requires_grad_() for n, p in parameters.items()}
    optimiser = torch.optim.AdamW(parameters.values(), lr=setting["learning_rate"], betas=(setting["beta1"], setting["beta2"]),
                                  eps=setting["epsilon"], weight_decay=setting["weight_decay"])
    losses, norms = [], []
    for step in range(10):
        chosen = [samples[(step * setting["batch"] + i) % len(samples)] for i in range(setting["batch"])]
        sequences = [s for s, _ in chosen]
        targets = torch.tensor([l for _, l in chosen]) if classes else pad([l for _, l in chosen], IGNORED)
        _, logits = forward(model, sequences, LowRank(parameters, scale), classes)
        loss = mean_loss(logits, targets)
        optimiser.zero_grad()
        loss.backward()
        losses.append(loss.item())
        norms.append(torch.nn.utils.clip_grad_norm_(parameters.values(), setting["maximum_norm"]).item())
        optimiser.step()
    assert any(n > setting["maximum_norm"] for n in norms) and losses[-1] < losses[0]
    write_json(folder / f"{name}.json", {
        **setting, "boundary": boundary, "scale": scale, "classes": classes,
        "samples": [{"tokens": s, "labels": l} for s, l in samples], "losses": losses, "gradient_norms": norms,
        "final_norms": {n: p.norm().item() for n, p in parameters.items()},
    })
    print(f"{folder.name}/{name}: losses {losses[0]:.4f} .. {losses[-1]:.4f}, gradient norms {min(norms):.3f} .. {max(norms):.3f}")


def draw_samples(generator, vocabulary, lengths, classes):
    """Token sequences with a class, or with next-token targets whose first third (the 'prompt') is ignored."""
    samples = []
    for length in lengths:
        tokens = [int(t) for t in generator.integers(0, vocabulary, length)]
        if classes:
            label = int(generator.integers(0, classes))
        else:
            ignored = max(1, length // 3)
            label = [IGNORED] * ignored + tokens[ignored + 1:] + [int(generator.integers(0, vocabulary))] if length > 1 else [IGNORED]
        samples.append((tokens, label))
    return samples


def write_model(folder, model, boundary, seed):
    write_json(folder / "model" / "config.json", model.config)
    write_safetensors(folder / "model" / "model.safetensors", model.stored(), {"format": "pt"})
    rank, alpha, classes = 4, 8.0, 3
    scale, stabilized = alpha / rank, alpha / math.sqrt(rank)
    generator = numpy.random.Generator(numpy.random.PCG64(seed))
    lengths = [5, 11, 1, 8]
    classified = draw_samples(generator, model.vocabulary, lengths, classes)
    spoken = draw_samples(generator, model.vocabulary, lengths, 0)

    adapter = make_adapter(model, boundary, model.targets, rank, classes, seed + 1)
    write_adapter(folder / "adapter_all", model, adapter, boundary, model.targets, rank, alpha, False)
    without_head = {n: p for n, p in adapter.items() if n != "score.weight"}
    case = lambda name, samples, parameters, scale, classes, depths, boundary: write_case(
        folder, name, model, [s for s, _ in samples], [l for _, l in samples], parameters, scale, classes, depths, boundary)
    case("classification", classified, adapter, scale, classes, True, boundary)
    loss = case("language_model", spoken, without_head, scale, 0, False, boundary)

    first = model.targets[0]
    narrow = make_adapter(model, 0, [first], rank, classes, seed + 2)
    write_adapter(folder / f"adapter_{first}", model, narrow, 0, [first], rank, alpha, True)
    case("rank_stabilized", classified, narrow, stabilized, classes, False, 0)

    ten_steps(folder, "ten_steps_classification", model, draw_samples(generator, model.vocabulary, [3, 9, 1, 6, 12, 4, 7, 2], classes),
              adapter, scale, classes, boundary)
    ten_steps(folder, "ten_steps_language_model", model, draw_samples(generator, model.vocabulary, [3, 9, 5, 6, 12, 4, 7, 2], 0),
              without_head, scale, 0, boundary)
    return spoken, without_head, scale, loss


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    write_model(folder / "gpt2", Gpt2(3, 40, 4, 97, 64, 11, torch.float16), 1, 101)

    llama = Llama(4, 64, 8, 4, 80, 101, False, 12, torch.bfloat16)
    spoken, parameters, scale, loss = write_model(folder / "llama", llama, 2, 102)
    llama.scaled = False
    _, logits = forward(llama, [s for s, _ in spoken], LowRank(parameters, scale), 0)
    change = abs(mean_loss(logits, pad([l for _, l in spoken], IGNORED)).item() - loss) / loss
    assert change > 1e-3, f"rope_scaling changes the loss by {change:.1e} only"

    tied = Llama(2, 32, 4, 2, 48, 101, True, 13, torch.bfloat16)
    write_json(folder / "llama_tied" / "model" / "config.json", tied.config)
    write_safetensors(folder / "llama_tied" / "model" / "model.safetensors", tied.stored(), {"format": "pt"})
    samples = draw_samples(numpy.random.Generator(numpy.random.PCG64(103)), tied.vocabulary, [6, 1, 9], 0)
    adapter = make_adapter(tied, 0, ["v_proj", "down_proj"], 4, 0, 104)
    write_adapter(folder / "llama_tied" / "adapter_v_down", tied, adapter, 0, ["v_proj", "down_proj"], 4, 8.0, False)
    write_case(folder / "llama_tied", "language_model", tied, [s for s, _ in samples], [l for _, l in samples], adapter, 2.0, 0, True, 0)


if __name__ == "__main__":
    main()
