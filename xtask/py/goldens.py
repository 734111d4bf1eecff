"""Writes crates/kelvin-model/goldens: tiny random models with what PyTorch computes on them.

    python -m venv .venv && .venv/bin/pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0
    .venv/bin/python xtask/py/goldens.py

Development only: nothing in the build or in the tests runs it. Each folder holds a model as transformers saves
it (config.json, model.safetensors) and

    expected.json         versions, objective, samples, AdamW's constants, log-probabilities and statistics
    gradient.safetensors  the gradient of the objective on the samples, before clipping
    stepped.safetensors   the weights after two clipped AdamW steps on it, the gradient computed anew for each

`without_bias` is transformers' Llama, which is Qwen2 without biases on queries, keys and values.
"""

import json
import pathlib

import safetensors
import safetensors.torch
import torch
import transformers

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates/kelvin-model/goldens"
# head_dim differs from hidden_size / num_attention_heads; sequences reach beyond a block of 32 rows.
SHAPE = dict(
    vocab_size=48,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    max_position_embeddings=64,
    rms_norm_eps=1e-5,
    attention_dropout=0.0,
)
ADAM = dict(learning_rate=3e-3, beta1=0.9, beta2=0.95, eps=1e-4, weight_decay=0.1, grad_clip=0.2)
# Prompt length, response length, advantage, group.
SAMPLES = [(3, 5, 1.5, "a"), (12, 30, -0.7, "a"), (1, 1, 0.4, "b"), (20, 17, 1.0, "b"), (5, 40, -2.0, "c")]
LIKELIHOOD = dict(kind="likelihood")
PPO = dict(kind="ppo_clip", low=0.2, high=0.28, dual=3.0)


def make_model(kind, tied):
    rope = dict(rope_type="default", rope_theta=10000.0)
    if kind == "qwen2":
        config = transformers.Qwen2Config(**SHAPE, tie_word_embeddings=tied, rope_parameters=rope)
        model = transformers.Qwen2ForCausalLM(config)
    else:
        config = transformers.LlamaConfig(**SHAPE, tie_word_embeddings=tied, rope_parameters=rope)
        model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter.uniform_(0.5, 1.5)
            elif parameter.ndim == 1:
                parameter.normal_(0.0, 0.3)
            else:
                parameter.normal_(0.0, 0.25)
    return model.float().eval()


def distributions(model, sample, temperature):
    """Log-softmax of the rows that predict response tokens."""
    ids = torch.tensor([sample["prompt"] + sample["response"]])
    logits = model(input_ids=ids).logits[0]
    rows = logits[len(sample["prompt"]) - 1 : -1]
    return torch.log_softmax(rows.float() / temperature, dim=-1)


def token_losses(surrogate, logprobs, old, advantage):
    if surrogate["kind"] == "likelihood":
        return -advantage * logprobs
    ratio = torch.exp(torch.clamp(logprobs - old, -20.0, 20.0))
    clipped = torch.clamp(ratio, 1 - surrogate["low"], 1 + surrogate["high"])
    loss = torch.maximum(-advantage * ratio, -advantage * clipped)
    if advantage < 0:
        loss = torch.minimum(loss, torch.full_like(loss, -advantage * surrogate["dual"]))
    return loss


def objective_loss(model, samples, objective):
    """The loss, and the mean entropy and old_logprob - logprob over response tokens."""
    group_sizes, n_tokens = {}, sum(len(sample["response"]) for sample in samples)
    for sample in samples:
        group_sizes[sample["group"]] = group_sizes.get(sample["group"], 0) + len(sample["response"])
    loss, entropies, kls = 0.0, [], []
    for sample in samples:
        rows = distributions(model, sample, objective["temperature"])
        response = torch.tensor(sample["response"])
        logprobs = rows.gather(1, response[:, None])[:, 0]
        entropy = -(rows.exp() * rows).sum(-1)
        old = torch.tensor(sample["old_logprobs"]) if sample["old_logprobs"] else logprobs.detach()
        losses = token_losses(objective["surrogate"], logprobs, old, sample["advantage"])
        losses = losses - objective["entropy_coefficient"] * entropy
        weight = {
            "group_token": 1.0 / (len(group_sizes) * group_sizes[sample["group"]]),
            "token": 1.0 / n_tokens,
            "sequence": 1.0 / (len(samples) * len(response)),
        }[objective["aggregation"]]
        loss = loss + weight * losses.sum()
        entropies.append(entropy.detach())
        kls.append((old - logprobs).detach())
    return loss, torch.cat(entropies).mean().item(), torch.cat(kls).mean().item()


def draw_samples(model, temperature, with_old):
    samples = []
    for prompt_len, response_len, advantage, group in SAMPLES:
        ids = torch.randint(SHAPE["vocab_size"], (prompt_len + response_len,)).tolist()
        sample = dict(prompt=ids[:prompt_len], response=ids[prompt_len:], advantage=advantage, old_logprobs=[], group=group)
        if with_old:
            with torch.no_grad():
                rows = distributions(model, sample, temperature)
            logprobs = rows.gather(1, torch.tensor(sample["response"])[:, None])[:, 0]
            sample["old_logprobs"] = (logprobs + 0.4 * torch.randn_like(logprobs)).tolist()
        samples.append(sample)
    # One sample without old log-probabilities: its ratio is 1.
    samples[-1]["old_logprobs"] = []
    return samples


def named(model, tensor_of):
    return {name: tensor_of(parameter).detach().clone().contiguous() for name, parameter in model.named_parameters()}


def write(folder, kind, tied, objective, with_old):
    model = make_model(kind, tied)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    temperature = objective["temperature"]
    samples = draw_samples(model, temperature, with_old)
    with torch.no_grad():
        logprobs = []
        for sample in samples:
            ids = torch.tensor([sample["prompt"] + sample["response"]])
            rows = torch.log_softmax(model(input_ids=ids).logits[0, :-1] / temperature, dim=-1)
            logprobs.append(rows.gather(1, ids[0, 1:, None])[:, 0].tolist())
        # The whole distribution after the prompt of the second sample.
        after = model(input_ids=torch.tensor([samples[1]["prompt"]])).logits[0, -1]
        next_logprobs = torch.log_softmax(after / temperature, dim=-1).tolist()

    decayed = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    optimizer = torch.optim.AdamW(
        [dict(params=decayed, weight_decay=ADAM["weight_decay"]), dict(params=others, weight_decay=0.0)],
        lr=ADAM["learning_rate"],
        betas=(ADAM["beta1"], ADAM["beta2"]),
        eps=ADAM["eps"],
    )
    steps = []
    for step in range(2):
        optimizer.zero_grad()
        loss, entropy, kl = objective_loss(model, samples, objective)
        loss.backward()
        if step == 0:
            safetensors.torch.save_file(named(model, lambda p: p.grad), folder / "gradient.safetensors")
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), ADAM["grad_clip"])
        optimizer.step()
        steps.append(dict(loss=loss.item(), entropy=entropy, kl_old_new=kl, grad_norm=norm.item()))
    safetensors.torch.save_file(named(model, lambda p: p), folder / "stepped.safetensors")

    versions = dict(torch=torch.__version__, transformers=transformers.__version__, safetensors=safetensors.__version__)
    expected = dict(
        versions=versions,
        objective=objective,
        samples=samples,
        adam=ADAM,
        logprobs=logprobs,
        next_logprobs=next_logprobs,
        steps=steps,
    )
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


def main():
    torch.manual_seed(20261120)
    torch.use_deterministic_algorithms(True)
    ppo = dict(surrogate=PPO, aggregation="group_token", entropy_coefficient=0.02, temperature=0.8)
    sequence = dict(surrogate=PPO, aggregation="sequence", entropy_coefficient=0.0, temperature=1.0)
    likelihood = dict(surrogate=LIKELIHOOD, aggregation="token", entropy_coefficient=0.0, temperature=1.0)
    write(OUT / "tied", "qwen2", True, ppo, True)
    write(OUT / "untied", "qwen2", False, sequence, True)
    write(OUT / "without_bias", "llama", False, likelihood, False)


if __name__ == "__main__":
    main()
