"""PyTorch doing what `kelvin bench decode|train` does, for `cargo xtask engine-peers`, which starts this and asks for one round
after the other. Dev-only: `pip install torch==2.15.0`.

    python xtask/py/engine_peer.py decode --shape tiny --batch 64 --prompt 64 --new 64

A Qwen2-shaped decoder in eager mode with random weights: fused RMSNorm and scaled_dot_product_attention, a cache that is written in
place, one thread pool. For each line on standard input one round is measured and one JSON object printed.
"""

import argparse
import json
import resource
import sys
import time

import torch
import torch.nn.functional as F

SHAPES = {
    "tiny": {"layers": 4, "hidden": 192, "heads": 6, "kv_heads": 2, "ffn": 512, "vocab": 512, "theta": 1e4},
    "qwen2.5-0.5b": {"layers": 24, "hidden": 896, "heads": 14, "kv_heads": 2, "ffn": 4864, "vocab": 151936, "theta": 1e6},
}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


class Layer(torch.nn.Module):
    def __init__(self, shape, dtype):
        super().__init__()
        hidden, head_dim = shape["hidden"], shape["hidden"] // shape["heads"]
        width = (shape["heads"] + 2 * shape["kv_heads"]) * head_dim
        matrix = lambda rows, cols: torch.nn.Parameter((torch.randn(rows, cols) * 0.02).to(dtype))
        self.input_norm = torch.nn.Parameter(torch.ones(hidden, dtype=dtype))
        self.post_norm = torch.nn.Parameter(torch.ones(hidden, dtype=dtype))
        self.qkv, self.qkv_bias = matrix(width, hidden), torch.nn.Parameter(torch.zeros(width, dtype=dtype))
        self.o, self.gate_up, self.down = matrix(hidden, hidden), matrix(2 * shape["ffn"], hidden), matrix(hidden, shape["ffn"])


class Decoder(torch.nn.Module):
    def __init__(self, shape, dtype, positions):
        super().__init__()
        self.shape, self.head_dim = shape, shape["hidden"] // shape["heads"]
        self.embed = torch.nn.Parameter((torch.randn(shape["vocab"], shape["hidden"]) * 0.02).to(dtype))
        self.norm = torch.nn.Parameter(torch.ones(shape["hidden"], dtype=dtype))
        self.layers = torch.nn.ModuleList(Layer(shape, dtype) for _ in range(shape["layers"]))
        angles = torch.outer(torch.arange(positions).float(), shape["theta"] ** (-torch.arange(0, self.head_dim, 2) / self.head_dim))
        angles = torch.cat([angles, angles], -1)
        self.cos, self.sin = angles.cos().to(dtype), angles.sin().to(dtype)

    def turn(self, x, first, length):
        low, high = x.chunk(2, -1)
        return x * self.cos[first : first + length] + torch.cat([-high, low], -1) * self.sin[first : first + length]

    def forward(self, tokens, first=0, cache=None):
        shape, dim = self.shape, self.head_dim
        heads, kv_heads = shape["heads"], shape["kv_heads"]
        batch, length = tokens.shape
        x = F.embedding(tokens, self.embed)
        for index, layer in enumerate(self.layers):
            normed = F.rms_norm(x, (shape["hidden"],), layer.input_norm, 1e-6)
            qkv = F.linear(normed, layer.qkv, layer.qkv_bias).view(batch, length, heads + 2 * kv_heads, dim).transpose(1, 2)
            queries = self.turn(qkv[:, :heads], first, length)
            keys, values = self.turn(qkv[:, heads : heads + kv_heads], first, length), qkv[:, heads + kv_heads :]
            if cache is not None:
                held_keys, held_values = cache[index]
                held_keys[:, :, first : first + length] = keys
                held_values[:, :, first : first + length] = values
                keys, values = held_keys[:, :, : first + length], held_values[:, :, : first + length]
            if length == 1:
                # The query heads of a key head as rows: faster than enable_gqa, which repeats keys.
                attended = F.scaled_dot_product_attention(queries.view(batch, kv_heads, heads // kv_heads, dim), keys, values)
                attended = attended.reshape(batch, 1, heads * dim)
            else:
                attended = F.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)
                attended = attended.transpose(1, 2).reshape(batch, length, heads * dim)
            x = x + F.linear(attended, layer.o)
            gate, up = F.linear(F.rms_norm(x, (shape["hidden"],), layer.post_norm, 1e-6), layer.gate_up).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, layer.down)
        return F.rms_norm(x, (shape["hidden"],), self.norm, 1e-6)


def decode_round(model, args, dtype):
    """One prefill and `new` tokens with their log-probabilities; the first token counts as prefill."""
    shape, batch = model.shape, args.batch
    with torch.inference_mode():
        size = (batch, shape["kv_heads"], args.prompt + args.new, model.head_dim)
        cache = [(torch.zeros(size, dtype=dtype), torch.zeros(size, dtype=dtype)) for _ in model.layers]
        tokens = torch.randint(0, shape["vocab"], (batch, args.prompt))
        start = time.perf_counter()
        last = model(tokens, 0, cache)[:, -1]
        logprobs = []
        for place in range(args.new):
            row = torch.log_softmax(F.linear(last, model.embed).float(), -1)
            drawn = torch.multinomial(row.exp(), 1)
            logprobs.append(row.gather(1, drawn))
            if place == 0:
                prefilled = time.perf_counter()
            if place + 1 < args.new:
                last = model(drawn, args.prompt + place, cache)[:, -1]
        end = time.perf_counter()
    return {
        "decode_tokens_per_s": batch * (args.new - 1) / (end - prefilled),
        "prefill_tokens_per_s": batch * args.prompt / (prefilled - start),
    }


def train_round(model, optimizer, args):
    """One step of AdamW on random tokens: the mean of -log p, which costs what a clipped ratio does."""
    shape = model.shape
    tokens = torch.randint(0, shape["vocab"], (args.batch, args.seq))
    start = time.perf_counter()
    hidden = model(tokens[:, :-1])
    loss = F.cross_entropy(F.linear(hidden.reshape(-1, shape["hidden"]), model.embed).float(), tokens[:, 1:].reshape(-1))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return {"tokens_per_s": args.batch * args.seq / (time.perf_counter() - start)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["decode", "train"])
    parser.add_argument("--shape", choices=SHAPES, default="tiny")
    parser.add_argument("--dtype", choices=DTYPES, default="f32")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--seq", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    dtype = DTYPES[args.dtype]
    model = Decoder(SHAPES[args.shape], dtype, max(args.prompt + args.new, args.seq))
    if args.what == "train":
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0.0, fused=True)
        one_round = lambda: train_round(model, optimizer, args)
    else:
        one_round = lambda: decode_round(model, args, dtype)
    one_round()
    for _ in sys.stdin:
        measured = one_round()
        measured["rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        measured["torch"] = torch.__version__
        print(json.dumps(measured), flush=True)


if __name__ == "__main__":
    main()
