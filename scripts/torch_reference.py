#!/usr/bin/env python3
"""The PyTorch side of comparisons with dtcalc: one GPT-2 or Llama training step, compiled, timed beside ours.

Prints one JSON line: tokens/s (median of the steps), milliseconds per step, peak memory, the first and last loss.
Weights are fp32, products run under bf16 autocast, AdamW is fused: what a PyTorch user gets without changing the model.
Called by `./dev gpu bench`; needs PyTorch 2.x with CUDA and nothing else.
"""
import argparse
import json
import math
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

SHAPES = {
    "gpt2-124m": dict(layers=12, hidden=768, heads=12),
    "gpt2-355m": dict(layers=24, hidden=1024, heads=16),
    "gpt2-1.5b": dict(layers=48, hidden=1600, heads=25),
}
LLAMAS = {
    "llama3.2-1b": dict(layers=16, hidden=2048, heads=32, kv_heads=8, mlp=8192),
}


class Block(nn.Module):
    """z + attention(norm z), then z + mlp(norm z), as GPT-2 has it."""

    def __init__(self, hidden, heads):
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.query_key_value, self.output = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.up, self.down = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)

    def forward(self, z):
        batch, sequence, hidden = z.shape
        parts = self.query_key_value(self.attention_norm(z)).split(hidden, dim=2)
        q, k, v = (p.view(batch, sequence, self.heads, -1).transpose(1, 2) for p in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        z = z + self.output(mixed.transpose(1, 2).reshape(batch, sequence, hidden))
        return z + self.down(F.gelu(self.up(self.mlp_norm(z)), approximate="tanh"))


class Gpt2(nn.Module):
    def __init__(self, layers, hidden, heads, vocabulary, sequence):
        super().__init__()
        self.token, self.position = nn.Embedding(vocabulary, hidden), nn.Embedding(sequence, hidden)
        self.blocks = nn.ModuleList(Block(hidden, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                deviation = 0.5 / math.sqrt(hidden)  # as dtcalc initialises
                residual = name.endswith(("output.weight", "down.weight"))
                nn.init.normal_(p, std=deviation / math.sqrt(2 * layers) if residual else deviation)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, tokens, targets):
        z = self.token(tokens) + self.position.weight[: tokens.shape[1]]
        for block in self.blocks:
            z = block(z)
        logits = F.linear(self.norm(z), self.token.weight)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


class LlamaBlock(nn.Module):
    """z + attention(norm z), then z + swiglu(norm z), grouped queries and rotary positions."""

    def __init__(self, hidden, heads, kv_heads, mlp):
        super().__init__()
        self.heads, self.kv_heads, self.head_size = heads, kv_heads, hidden // heads
        self.attention_norm, self.mlp_norm = nn.RMSNorm(hidden), nn.RMSNorm(hidden)
        self.query_key_value = nn.Linear(hidden, (heads + 2 * kv_heads) * self.head_size, bias=False)
        self.output = nn.Linear(hidden, hidden, bias=False)
        self.gate_up, self.down = nn.Linear(hidden, 2 * mlp, bias=False), nn.Linear(mlp, hidden, bias=False)

    def forward(self, z, cosine, sine):
        batch, sequence, hidden = z.shape
        sizes = [n * self.head_size for n in (self.heads, self.kv_heads, self.kv_heads)]
        q, k, v = (p.view(batch, sequence, -1, self.head_size).transpose(1, 2)
                   for p in self.query_key_value(self.attention_norm(z)).split(sizes, dim=2))

        def rotate(x):
            left, right = x.chunk(2, dim=-1)
            return (x * cosine + torch.cat((-right, left), dim=-1) * sine).to(v.dtype)

        mixed = F.scaled_dot_product_attention(rotate(q), rotate(k), v, is_causal=True, enable_gqa=True)
        z = z + self.output(mixed.transpose(1, 2).reshape(batch, sequence, hidden))
        gate, up = self.gate_up(self.mlp_norm(z)).chunk(2, dim=-1)
        return z + self.down(F.silu(gate) * up)


class Llama(nn.Module):
    """Token embedding shared with the head, as Llama 3.2 1B has it."""

    def __init__(self, layers, hidden, heads, kv_heads, mlp, vocabulary, sequence):
        super().__init__()
        self.token = nn.Embedding(vocabulary, hidden)
        self.blocks = nn.ModuleList(LlamaBlock(hidden, heads, kv_heads, mlp) for _ in range(layers))
        self.norm = nn.RMSNorm(hidden)
        size = hidden // heads
        angle = torch.arange(sequence)[:, None] * 500000.0 ** (-torch.arange(0, size, 2) / size)
        self.register_buffer("cosine", torch.cos(angle).repeat(1, 2))
        self.register_buffer("sine", torch.sin(angle).repeat(1, 2))
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02)

    def forward(self, tokens, targets):
        z = self.token(tokens)
        for block in self.blocks:
            z = block(z, self.cosine, self.sine)
        logits = F.linear(self.norm(z), self.token.weight)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=[*SHAPES, *LLAMAS], default="gpt2-124m")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--sequence", type=int, default=1024)
    parser.add_argument("--vocabulary", type=int, help="50304, of which tokens use 50257; 128256 for a Llama")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--eager", action="store_true", help="do not compile")
    o = parser.parse_args()
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("high")
    kind, shape, vocabulary = ((Gpt2, SHAPES[o.model], 50304) if o.model in SHAPES else
                               (Llama, LLAMAS[o.model], 128256))
    vocabulary = o.vocabulary or vocabulary
    model = kind(**shape, vocabulary=vocabulary, sequence=o.sequence).cuda()
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW([dict(params=matrices, weight_decay=0.1), dict(params=vectors, weight_decay=0.0)],
                                  lr=1e-4, betas=(0.9, 0.95), fused=True)
    step_model = model if o.eager else torch.compile(model)
    losses, seconds = [], []
    begin_compile = time.perf_counter()
    for step in range(o.steps + 3):  # three to compile and warm up
        tokens = torch.randint(0, 50257, (o.batch, o.sequence), device="cuda")
        targets = torch.randint(0, 50257, (o.batch, o.sequence), device="cuda")
        torch.cuda.synchronize()
        begin = time.perf_counter()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = step_model(tokens, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        torch.cuda.synchronize()
        if step < 3:
            warm = time.perf_counter() - begin_compile
        else:
            seconds.append(time.perf_counter() - begin)
    step_s = statistics.median(seconds)
    print(json.dumps(dict(peer="pytorch", version=torch.__version__, compiled=not o.eager, model=o.model,
                          gpu=torch.cuda.get_device_name(), batch=o.batch, sequence=o.sequence,
                          tokens_per_s=o.batch * o.sequence / step_s, step_s=step_s, warm_up_s=warm,
                          peak_bytes=torch.cuda.max_memory_allocated(), first_loss=losses[0], last_loss=losses[-1],
                          parameters=sum(p.numel() for p in model.parameters()))))


if __name__ == "__main__":
    main()
