"""Writes crates/kelvin-model/goldens/families.json: models of all families, with what transformers and PyTorch compute.

    python -m venv .venv && .venv/bin/pip install torch==2.15.0 transformers==5.23.0 numpy
    .venv/bin/python xtask/py/family_goldens.py

With `--full FOLDER` it writes those and models of usual widths there instead, with every number of gradients and step beside
them in a file for each model, and scores of a model in f64 (in which transformers computes norms and rotary angles in f32
still): `cargo xtask engine-parity` does that.

Development only: nothing in the build or in the tests runs it. Weights and tokens are not stored: both sides compute them
from names (`uniform` below; the test has the same function in Rust). A gradient or step is stored as its norm, its inner
products with four vectors of random signs, and four elements.
"""

import copy
import json
import pathlib
import sys

import numpy
import safetensors.torch
import torch
import transformers

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates/kelvin-model/goldens/families.json"
N_SCORED = 512
N_PROMPT = 16
N_DRAWN = 256
# Prompt length, response length.
SAMPLES = [(3, 60), (17, 41), (1, 9)]
ADAM = dict(learning_rate=3e-3, beta1=0.9, beta2=0.95, eps=1e-4, weight_decay=0.1, grad_clip=0.5)
N_SIGNS = 4
# Two likeliest tokens nearer than this could change places by rounding.
GAP_MIN = 1e-3
COMMON = dict(max_position_embeddings=2048, attention_dropout=0.0, bos_token_id=None, eos_token_id=None)


def rope(theta, **scaling):
    return dict(rope_type="llama3" if scaling else "default", rope_theta=theta, **scaling)


def sizes(vocab, hidden, ffn, layers, heads, kv_heads, head_dim, tied, eps=1e-6):
    return dict(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=ffn,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        tie_word_embeddings=tied,
        rms_norm_eps=eps,
    )


STRETCHED = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=128)
STRETCHED_MORE = dict(factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
# Family, sizes, and the rest.
MODELS = [
    ("qwen2", sizes(97, 32, 48, 2, 4, 2, 8, True), dict(rope_parameters=rope(10_000.0))),
    ("qwen2", sizes(61, 20, 37, 3, 5, 1, 4, False), dict(rope_parameters=rope(1_000_000.0))),
    ("qwen2", sizes(83, 27, 41, 2, 4, 4, 12, True, 1e-5), dict(rope_parameters=rope(1_000_000.0))),
    ("qwen2", sizes(101, 34, 45, 2, 6, 3, 10, False), dict(rope_parameters=rope(500_000.0, **STRETCHED))),
    ("qwen3", sizes(97, 32, 48, 2, 4, 2, 16, True), dict(rope_parameters=rope(1_000_000.0))),
    ("qwen3", sizes(61, 25, 39, 3, 6, 1, 6, False), dict(rope_parameters=rope(10_000.0))),
    ("qwen3", sizes(83, 29, 33, 2, 3, 3, 14, False, 1e-5), dict(rope_parameters=rope(5_000_000.0), attention_bias=True)),
    ("qwen3", sizes(101, 18, 51, 2, 8, 2, 4, True), dict(rope_parameters=rope(10_000.0, **STRETCHED))),
    ("llama", sizes(97, 32, 48, 2, 4, 2, 8, True, 1e-5), dict(rope_parameters=rope(500_000.0, **STRETCHED))),
    ("llama", sizes(61, 20, 37, 3, 5, 1, 4, False, 1e-5), dict(rope_parameters=rope(500_000.0, **STRETCHED_MORE))),
    ("llama", sizes(83, 28, 41, 2, 4, 4, 18, True), dict(rope_parameters=rope(10_000.0), attention_bias=True)),
    ("llama", sizes(101, 36, 53, 2, 6, 2, 10, False), dict(rope_parameters=rope(10_000.0))),
]
# Of usual widths of heads; the first has layers as wide as those of Qwen2.5-0.5B. The others are too small for more than one
# block of what a product sums.
WIDE = [
    ("qwen2", sizes(4096, 896, 4864, 2, 14, 2, 64, True), dict(rope_parameters=rope(1_000_000.0))),
    ("qwen2", sizes(1511, 512, 1408, 4, 4, 4, 128, False), dict(rope_parameters=rope(1_000_000.0))),
    ("qwen3", sizes(2048, 512, 1536, 4, 8, 4, 128, True), dict(rope_parameters=rope(1_000_000.0))),
    ("qwen3", sizes(1511, 320, 960, 4, 10, 2, 64, False), dict(rope_parameters=rope(1_000_000.0))),
    ("llama", sizes(2048, 768, 2048, 3, 12, 4, 64, True, 1e-5), dict(rope_parameters=rope(500_000.0, **STRETCHED_MORE))),
    ("llama", sizes(1511, 512, 1408, 4, 4, 1, 128, False, 1e-5), dict(rope_parameters=rope(500_000.0, **STRETCHED))),
]
CLASSES = dict(
    qwen2=(transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
    qwen3=(transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
    llama=(transformers.LlamaConfig, transformers.LlamaForCausalLM),
)


def uniform(name, n):
    """n numbers in [0, 1): FNV-1a of the name, then SplitMix64."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    with numpy.errstate(over="ignore"):
        z = numpy.uint64(state) + numpy.arange(1, n + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z = z ^ (z >> numpy.uint64(31))
    return (z >> numpy.uint64(40)).astype(numpy.float64) / 2.0**24


def weights(salt, name, shape):
    """Norms in [0.5, 1.5), biases in [-0.4, 0.4), matrices in +-3 over the root of their columns."""
    signed = 2.0 * uniform(f"{salt}/{name}", int(numpy.prod(shape))) - 1.0
    if name.endswith("norm.weight"):
        values = 1.0 + 0.5 * signed
    elif len(shape) == 1:
        values = 0.4 * signed
    else:
        values = signed * (3.0 / numpy.sqrt(float(shape[1])))
    return torch.from_numpy(values.astype(numpy.float32).reshape(shape))


def tokens(name, n, vocab):
    return (uniform(name, n) * vocab).astype(numpy.int64).tolist()


def fingerprint(name, values):
    values = values.detach().double().flatten().numpy()
    n = len(values)
    signs = [numpy.where(uniform(f"signs {k}/{name}", n) < 0.5, -1.0, 1.0) for k in range(N_SIGNS)]
    elements = [values[int(u * n)] for u in uniform(f"elements/{name}", 4)]
    numbers = [numpy.sqrt(values @ values), *(values @ sign for sign in signs), *elements]
    return [float(f"{x:.8g}") for x in numbers]


def greedy(model, prompt):
    """The continuation, and by how much each of its tokens led."""
    drawn = model.generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, N_PROMPT), max_new_tokens=N_DRAWN, do_sample=False
    )[0]
    top = model(drawn[None]).logits[0, N_PROMPT - 1 : -1].double().topk(2).values
    return drawn[N_PROMPT:].tolist(), (top[:, 0] - top[:, 1]).min().item()


def score(model, salt, vocab):
    """Log-probabilities of given tokens."""
    with torch.no_grad():
        ids = torch.tensor([tokens(f"{salt}/scored", N_SCORED, vocab)])
        rows = torch.log_softmax(model(ids).logits[0, :-1].double(), -1)
    return rows.gather(1, ids[0, 1:, None])[:, 0]


def loss_of(model, salt, vocab):
    """The mean of -log p over response tokens."""
    losses = []
    for idx, (n_prompt, n_response) in enumerate(SAMPLES):
        ids = torch.tensor([tokens(f"{salt}/sample {idx}", n_prompt + n_response, vocab)])
        rows = torch.log_softmax(model(ids).logits[0, n_prompt - 1 : -1], -1)
        losses.append(-rows.gather(1, ids[0, n_prompt:, None])[:, 0])
    return torch.cat(losses).mean()


def build(kind, shape, rest, salt):
    config_class, model_class = CLASSES[kind]
    model = model_class(config_class(**shape, **rest, **COMMON)).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights(salt, name, tuple(parameter.shape)))
    return model


def measure(idx, kind, shape, rest, folder=None):
    vocab = shape["vocab_size"]
    # The first weights whose greedy text neither repeats itself nor hangs on rounding.
    for attempt in range(1000):
        salt = f"{idx}.{attempt}"
        model = build(kind, shape, rest, salt)
        with torch.no_grad():
            drawn, gap = greedy(model, tokens(f"{salt}/prompt", N_PROMPT, vocab))
        pairs = len(set(zip(drawn, drawn[1:])))
        if GAP_MIN < gap and 0.4 * N_DRAWN < pairs:
            break
    else:
        raise RuntimeError(f"no weights of model {idx} will do")
    logprobs = score(model, salt, vocab)
    exact = score(copy.deepcopy(model).double(), salt, vocab) if folder else torch.empty(0)
    loss = loss_of(model, salt, vocab)
    loss.backward()
    full = {f"gradient/{name}": parameter.grad.clone() for name, parameter in model.named_parameters()}
    gradients = {name: fingerprint(name, parameter.grad) for name, parameter in model.named_parameters()}
    decayed = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    optimizer = torch.optim.AdamW(
        [dict(params=decayed, weight_decay=ADAM["weight_decay"]), dict(params=others, weight_decay=0.0)],
        lr=ADAM["learning_rate"],
        betas=(ADAM["beta1"], ADAM["beta2"]),
        eps=ADAM["eps"],
    )
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    grad_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), ADAM["grad_clip"])
    optimizer.step()
    if folder:
        full |= {f"step/{name}": parameter.detach() - before[name] for name, parameter in model.named_parameters()}
        safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in full.items()}, folder / f"{idx}.safetensors")
    tensors = [
        dict(
            name=name,
            shape=list(parameter.shape),
            gradient=gradients[name],
            step=fingerprint(name, parameter.double() - before[name].double()),
        )
        for name, parameter in model.named_parameters()
    ]
    print(salt, kind, f"gap {gap:.4f}, {pairs} pairs, loss {loss.item():.3f}")
    return dict(
        salt=salt,
        config=json.loads(model.config.to_json_string(use_diff=False)),
        logprobs=[round(x, 6) for x in logprobs.tolist()],
        **({"exact": exact.tolist()} if folder else {}),
        drawn=drawn,
        loss=loss.item(),
        grad_norm=grad_norm.item(),
        tensors=tensors,
    )


def main():
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    folder = pathlib.Path(sys.argv[2]) if sys.argv[1:2] == ["--full"] else None
    every = MODELS + WIDE if folder else MODELS
    models = [measure(idx, *model, folder) for idx, model in enumerate(every)]
    versions = dict(torch=torch.__version__, transformers=transformers.__version__)
    sizes = dict(n_scored=N_SCORED, n_prompt=N_PROMPT, samples=SAMPLES)
    head = json.dumps(dict(versions=versions, adam=ADAM, **sizes))
    rows = ",\n".join(json.dumps(model) for model in models)
    out = folder / "families.json" if folder else OUT
    out.write_text(head[:-1] + ', "models": [\n' + rows + "\n]}\n")


if __name__ == "__main__":
    main()
