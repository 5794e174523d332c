#!/usr/bin/env python3
"""The PyTorch side of a comparison of whole trainings: same weights, same batches, so many optimizer steps.

Writes a folder per shape (gpt2, llama with grouped queries): config.json and model.safetensors as transformers has them
(the weights before the first step), batches.safetensors (tokens and targets, steps x batch x sequence, I32), and
losses.json: the optimizer's settings and the mean loss of every step in three precisions. dtcalc's tests
"training as PyTorch trains" read tests/engine/torch_training, or the folder that DTCALC_TORCH_TRAINING names.
Called by `./dev gpu correct`; needs PyTorch 2.x and nothing else.

  fp32         everything in fp32
  bf16         autocast: products in bf16, weights, residual stream and norms in fp32
  bf16_copies  weights, activations and their gradients in bf16, loss in fp32; fp32 masters that the optimizer updates
               with fp32 gradients, and from which the bf16 weights are copied before every step. dtcalc's bf16_mixed
"""
import argparse
import json
import math
import pathlib
import struct

import torch
import torch.nn.functional as F
from torch import nn

SHAPES = {  # the small ones' folders lie in tests/engine/torch_training; the large are GPT-2 124M, a Llama of its size
    "gpt2": dict(small=dict(layers=2, hidden=32, heads=2, mlp=128, vocabulary=61, sequence=16, batch=2),
                 large=dict(layers=12, hidden=768, heads=12, mlp=3072, vocabulary=50257, sequence=256, batch=8)),
    "llama": dict(small=dict(layers=2, hidden=32, heads=4, kv_heads=2, mlp=64, vocabulary=61, sequence=16, batch=2),
                  large=dict(layers=12, hidden=768, heads=12, kv_heads=4, mlp=2048, vocabulary=32000, sequence=256,
                             batch=8)),
}
RATE, WARM_UP, BETAS, EPSILON, DECAY, CLIP = 3e-4, 10, (0.9, 0.95), 1e-8, 0.1, 1.0  # no step that amplifies rounding


class TransposedLinear(nn.Module):
    """y = x W + b with W (in, out), as GPT-2 stores it."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(inputs, outputs)), nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return x @ self.weight + self.bias


def heads_of(x, size):
    return x.unflatten(2, (-1, size)).transpose(1, 2)


class Gpt2Block(nn.Module):
    def __init__(self, s):
        super().__init__()
        hidden = s["hidden"]
        self.size = hidden // s["heads"]
        self.ln_1, self.ln_2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.attn = nn.ModuleDict(dict(c_attn=TransposedLinear(hidden, 3 * hidden),
                                       c_proj=TransposedLinear(hidden, hidden)))
        self.mlp = nn.ModuleDict(dict(c_fc=TransposedLinear(hidden, s["mlp"]),
                                      c_proj=TransposedLinear(s["mlp"], hidden)))

    def forward(self, z, _):
        q, k, v = (heads_of(p, self.size) for p in self.attn["c_attn"](self.ln_1(z)).chunk(3, dim=2))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        z = z + self.attn["c_proj"](mixed.transpose(1, 2).flatten(2))
        return z + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(z)), approximate="tanh"))


class Gpt2(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.transformer = nn.ModuleDict(dict(
            wte=nn.Embedding(s["vocabulary"], s["hidden"]), wpe=nn.Embedding(s["sequence"], s["hidden"]),
            h=nn.ModuleList(Gpt2Block(s) for _ in range(s["layers"])), ln_f=nn.LayerNorm(s["hidden"])))

    def forward(self, tokens):
        t = self.transformer
        z = t["wte"](tokens) + t["wpe"].weight[: tokens.shape[1]]
        for block in t["h"]:
            z = block(z, None)
        return F.linear(t["ln_f"](z), t["wte"].weight)

    @staticmethod
    def config(s):
        return dict(model_type="gpt2", vocab_size=s["vocabulary"], n_positions=s["sequence"], n_embd=s["hidden"],
                    n_layer=s["layers"], n_head=s["heads"], n_inner=s["mlp"], activation_function="gelu_new",
                    resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, tie_word_embeddings=True)


def rotate(x, cosine, sine):
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1).to(x.dtype)


class LlamaBlock(nn.Module):
    def __init__(self, s):
        super().__init__()
        hidden, self.size = s["hidden"], s["hidden"] // s["heads"]
        kv = s["kv_heads"] * self.size
        linear = lambda inputs, outputs: nn.Linear(inputs, outputs, bias=False)
        self.input_layernorm, self.post_attention_layernorm = (nn.RMSNorm(hidden, eps=1e-6) for _ in range(2))
        self.self_attn = nn.ModuleDict(dict(q_proj=linear(hidden, hidden), k_proj=linear(hidden, kv),
                                            v_proj=linear(hidden, kv), o_proj=linear(hidden, hidden)))
        self.mlp = nn.ModuleDict(dict(gate_proj=linear(hidden, s["mlp"]), up_proj=linear(hidden, s["mlp"]),
                                      down_proj=linear(s["mlp"], hidden)))

    def forward(self, z, angles):
        x, a = self.input_layernorm(z), self.self_attn
        q, k = (rotate(heads_of(a[p](x), self.size), *angles) for p in ("q_proj", "k_proj"))
        v = heads_of(a["v_proj"](x), self.size)
        group = q.shape[1] // k.shape[1]
        k, v = (t.repeat_interleave(group, dim=1) for t in (k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        z = z + a["o_proj"](mixed.transpose(1, 2).flatten(2))
        x, m = self.post_attention_layernorm(z), self.mlp
        return z + m["down_proj"](F.silu(m["gate_proj"](x)) * m["up_proj"](x))


class Llama(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.size = s["hidden"] // s["heads"]
        self.model = nn.ModuleDict(dict(
            embed_tokens=nn.Embedding(s["vocabulary"], s["hidden"]),
            layers=nn.ModuleList(LlamaBlock(s) for _ in range(s["layers"])), norm=nn.RMSNorm(s["hidden"], eps=1e-6)))
        self.lm_head = nn.Linear(s["hidden"], s["vocabulary"], bias=False)

    def forward(self, tokens):
        m = self.model
        frequency = 10000.0 ** (-torch.arange(0, self.size, 2, device=tokens.device, dtype=torch.float32) / self.size)
        angle = torch.arange(tokens.shape[1], device=tokens.device, dtype=torch.float32)[:, None] * frequency
        z = m["embed_tokens"](tokens)
        for block in m["layers"]:
            z = block(z, (angle.cos(), angle.sin()))
        return self.lm_head(m["norm"](z))

    @staticmethod
    def config(s):
        return dict(model_type="llama", vocab_size=s["vocabulary"], max_position_embeddings=s["sequence"],
                    hidden_size=s["hidden"], intermediate_size=s["mlp"], num_hidden_layers=s["layers"],
                    num_attention_heads=s["heads"], num_key_value_heads=s["kv_heads"], rms_norm_eps=1e-6,
                    hidden_act="silu", rope_theta=10000.0, attention_dropout=0.0, tie_word_embeddings=False)


def write_safetensors(path, tensors):
    """Tensors of F32 or I32 in one file: the format is a header of JSON and the data behind each other."""
    names = {torch.float32: "F32", torch.int32: "I32"}
    header, data, begin = {}, [], 0
    for name, tensor in tensors.items():
        data.append(tensor.detach().cpu().contiguous().numpy().tobytes())
        end = begin + len(data[-1])
        header[name] = dict(dtype=names[tensor.dtype], shape=list(tensor.shape), data_offsets=[begin, end])
        begin = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(b"".join([struct.pack("<Q", len(text)), text, *data]))


def initialize(model, generator):
    for name, p in model.named_parameters():
        if p.dim() == 2:
            nn.init.normal_(p, std=0.02, generator=generator)
        else:  # away from one and zero, so that a norm or a bias in the wrong place shows
            with torch.no_grad():
                p.add_(torch.empty_like(p).normal_(std=0.02, generator=generator))


def batches(s, steps, generator):
    """A chain in which the next token mostly follows from the last: something to learn within the steps."""
    shape = (steps, s["batch"], s["sequence"] + 1)
    tokens = torch.randint(0, s["vocabulary"], shape, generator=generator)
    keep = torch.rand(shape, generator=generator) < 0.8
    for t in range(1, shape[2]):
        follows = (tokens[:, :, t - 1] * 7 + 3) % min(s["vocabulary"], 97)
        tokens[:, :, t] = torch.where(keep[:, :, t], follows, tokens[:, :, t])
    return tokens[:, :, :-1].to(torch.int32).contiguous(), tokens[:, :, 1:].to(torch.int32).contiguous()


def learning_rates(steps):
    return [RATE * min(1.0, (step + 1) / WARM_UP) for step in range(steps)]


def train(make, s, start, tokens, targets, precision, device):
    masters = make(s)
    masters.load_state_dict(start)
    masters.to(device)
    copies = make(s).to(device, torch.bfloat16) if precision == "bf16_copies" else masters
    matrices = [p for p in masters.parameters() if p.dim() == 2]
    vectors = [p for p in masters.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW([dict(params=matrices, weight_decay=DECAY), dict(params=vectors, weight_decay=0.0)],
                                  lr=RATE, betas=BETAS, eps=EPSILON)
    losses = []
    for x, y, rate in zip(tokens, targets, learning_rates(len(tokens))):
        for group in optimizer.param_groups:
            group["lr"] = rate
        if copies is not masters:
            with torch.no_grad():
                for copy, master in zip(copies.parameters(), masters.parameters()):
                    copy.copy_(master)
                    copy.grad = None
        x, y = x.to(device).long(), y.to(device).long()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
            logits = copies(x)
        loss = F.cross_entropy(logits.float().flatten(0, 1), y.flatten())
        loss.backward()
        if copies is not masters:
            for copy, master in zip(copies.parameters(), masters.parameters()):
                master.grad = copy.grad.float()
        torch.nn.utils.clip_grad_norm_(masters.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    return losses


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--size", choices=("small", "large"), default="small")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    o = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    for name, make in (("gpt2", Gpt2), ("llama", Llama)):
        s = SHAPES[name][o.size]
        folder = o.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        generator = torch.Generator().manual_seed(7)
        model = make(s)
        initialize(model, generator)
        start = {k: v.clone() for k, v in model.state_dict().items()}
        tokens, targets = batches(s, o.steps, generator)
        (folder / "config.json").write_text(json.dumps(make.config(s), indent=1) + "\n")
        write_safetensors(folder / "model.safetensors", start)
        write_safetensors(folder / "batches.safetensors", dict(tokens=tokens, targets=targets))
        losses = {p: train(make, s, start, tokens, targets, p, o.device) for p in ("fp32", "bf16", "bf16_copies")}
        result = dict(torch=torch.__version__, device=o.device, learning_rate=learning_rates(o.steps), beta1=BETAS[0],
                      beta2=BETAS[1], epsilon=EPSILON, weight_decay=DECAY, gradient_clip=CLIP, **losses)
        (folder / "losses.json").write_text(json.dumps(result, indent=1) + "\n")
        assert all(math.isfinite(loss) for list_ in losses.values() for loss in list_)
        apart = {p: max(abs(a - b) for a, b in zip(losses["fp32"], losses[p])) for p in losses}
        print(f"{name}: loss {losses['fp32'][0]:.4f} to {losses['fp32'][-1]:.4f} in fp32, away from it at most "
              f"{apart['bf16']:.3e} under autocast, {apart['bf16_copies']:.3e} with bf16 copies")


if __name__ == "__main__":
    main()
