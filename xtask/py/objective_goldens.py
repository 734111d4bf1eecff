"""Writes crates/kelvin-core/goldens/objectives.json: losses of policy optimization with their derivatives by autograd.

    python -m venv .venv && .venv/bin/pip install torch==2.15.0
    .venv/bin/python xtask/py/objective_goldens.py

Development only: nothing in the build or in the tests runs it. One batch of log-probabilities and entropies in f64, and
for each case an objective, its loss, and the derivatives by both. Each loss is written as its paper has it, over whole
responses, with `detach` for what the paper holds fixed.
"""

import json
import pathlib

import torch

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates/kelvin-core/goldens/objectives.json"
# Response length, advantage, group, whether it has old log-probabilities.
SAMPLES = [
    (4, 1.5, "a", True),
    (7, -0.7, "a", True),
    (1, 0.4, "b", True),
    (9, -2.0, "b", True),
    (3, 0.0, "b", True),
    (5, 1.0, "c", False),
]


def f32(values):
    """What an f32 of a sample holds."""
    return values.float().double()


def draw():
    samples = []
    for n, advantage, group, with_old in SAMPLES:
        logprobs = -3 * torch.rand(n, dtype=torch.float64) - 0.05
        near = lambda spread: f32(logprobs + spread * torch.randn(n, dtype=torch.float64))
        samples.append(
            dict(
                advantage=f32(torch.tensor(advantage, dtype=torch.float64)).item(),
                group=group,
                logprobs=logprobs.tolist(),
                entropies=(3 * torch.rand(n, dtype=torch.float64)).tolist(),
                old_logprobs=near(0.5).tolist() if with_old else [],
                sampler_logprobs=near(0.6).tolist(),
                reference_logprobs=near(1.2).tolist(),
            )
        )
    return samples


def clipped(ratio, advantage, low, high):
    """PPO's objective, to be maximised."""
    return torch.minimum(ratio * advantage, torch.clamp(ratio, 1 - low, 1 + high) * advantage)


def surrogate_losses(surrogate, logprobs, old, advantage):
    kind = surrogate["kind"]
    if kind == "likelihood":
        return -advantage * logprobs
    low, high = surrogate["low"], surrogate["high"]
    if kind == "ppo_clip":
        losses = -clipped(torch.exp(logprobs - old), advantage, low, high)
        if advantage < 0:
            losses = torch.minimum(losses, torch.full_like(losses, -advantage * surrogate["dual"]))
        return losses
    if kind == "gspo":
        ratio = torch.exp((logprobs - old).mean())
        return -clipped(ratio, advantage, low, high).expand(len(logprobs))
    if kind == "gspo_token":
        ratio = torch.exp((logprobs - old).mean()).detach() * torch.exp(logprobs - logprobs.detach())
        return -clipped(ratio, advantage, low, high)
    if kind == "cispo":
        weight = torch.clamp(torch.exp(logprobs - old), 1 - low, 1 + high).detach()
        return -weight * advantage * logprobs
    raise ValueError(kind)


def kl(estimator, logprobs, reference):
    d = reference - logprobs
    if estimator == "k1":
        return -d
    if estimator == "k2":
        return d**2 / 2
    return torch.clamp(torch.exp(d) - 1 - d, max=10.0)


def token_losses(objective, sample, logprobs, entropies):
    tensor = lambda name: torch.tensor(sample[name], dtype=torch.float64)
    old = tensor("old_logprobs") if sample["old_logprobs"] else logprobs.detach()
    losses = surrogate_losses(objective["surrogate"], logprobs, old, sample["advantage"])
    if objective["importance_cap"] is not None:
        weight = torch.exp(old.detach() - tensor("sampler_logprobs"))
        losses = losses * torch.clamp(weight, max=objective["importance_cap"]).detach()
    losses = losses - objective["entropy_coefficient"] * entropies
    if objective["kl"] is not None:
        estimate = kl(objective["kl"]["estimator"], logprobs, tensor("reference_logprobs"))
        losses = losses + objective["kl"]["coefficient"] * estimate
    return losses


def aggregate(objective, samples, losses):
    if objective["aggregation"] == "token":
        return torch.cat(losses).mean()
    if objective["aggregation"] == "sequence":
        return torch.stack([it.mean() for it in losses]).mean()
    if objective["aggregation"] == "constant":
        return torch.stack([it.sum() / objective["constant_length"] for it in losses]).mean()
    groups = {}
    for sample, it in zip(samples, losses):
        groups.setdefault(sample["group"], []).append(it)
    return torch.stack([torch.cat(it).mean() for it in groups.values()]).mean()


def case(samples, name, surrogate, aggregation, estimator=None, cap=None, entropy=0.0):
    objective = dict(
        surrogate=surrogate,
        aggregation=aggregation,
        constant_length=12 if aggregation == "constant" else 0,
        kl=dict(estimator=estimator, coefficient=0.04) if estimator else None,
        importance_cap=cap,
        entropy_coefficient=entropy,
        temperature=1.0,
    )
    leaf = lambda key: [torch.tensor(it[key], dtype=torch.float64, requires_grad=True) for it in samples]
    logprobs, entropies = leaf("logprobs"), leaf("entropies")
    losses = [token_losses(objective, *it) for it in zip(samples, logprobs, entropies)]
    loss = aggregate(objective, samples, losses)
    loss.backward()
    grads = lambda leaves: [it.grad.tolist() if it.grad is not None else [0.0] * len(it) for it in leaves]
    if surrogate["kind"] == "gspo_token":
        objective["surrogate"] = dict(surrogate, kind="gspo")
    return dict(
        name=name, objective=objective, loss=loss.item(), by_logprob=grads(logprobs), by_entropy=grads(entropies)
    )


def main():
    torch.manual_seed(20261121)
    samples = draw()
    ppo = dict(kind="ppo_clip", low=0.2, high=0.28, dual=3.0)
    symmetric = dict(kind="ppo_clip", low=0.2, high=0.2, dual=1e9)
    wide, narrow = dict(kind="gspo", low=0.1, high=0.15), dict(kind="gspo", low=3e-4, high=4e-4)
    gspo_token = dict(kind="gspo_token", low=0.1, high=0.15)
    cispo = dict(kind="cispo", low=1.0, high=0.5)
    likelihood = dict(kind="likelihood")
    cases = [
        case(samples, "ppo", ppo, "group_token", entropy=0.01),
        case(samples, "grpo", symmetric, "sequence", estimator="k3"),
        case(samples, "dr_grpo", symmetric, "constant"),
        case(samples, "dapo", dict(ppo, dual=1e9), "token"),
        case(samples, "reinforce", likelihood, "constant", estimator="k1"),
        case(samples, "reinforce, token mean, k2", likelihood, "token", estimator="k2", entropy=-0.02),
        case(samples, "gspo", wide, "sequence"),
        case(samples, "gspo as published", narrow, "sequence", estimator="k3"),
        case(samples, "gspo over tokens", wide, "token", entropy=0.01),
        case(samples, "gspo-token", gspo_token, "sequence"),
        case(samples, "gspo-token, truncated importance sampling", gspo_token, "sequence", cap=2.0),
        case(samples, "cispo", cispo, "token"),
        case(samples, "cispo, bounded below", dict(cispo, low=0.3), "group_token", cap=1.5),
        case(samples, "truncated importance sampling", ppo, "sequence", cap=2.0, estimator="k3", entropy=0.01),
        case(samples, "reinforce, truncated importance sampling", likelihood, "token", cap=1.2),
    ]
    OUT.parent.mkdir(exist_ok=True)
    head = dict(versions=dict(torch=torch.__version__), samples=samples)
    lines = ",\n".join(json.dumps(it) for it in cases)
    OUT.write_text(json.dumps(head)[:-1] + ', "cases": [\n' + lines + "\n]}\n")


if __name__ == "__main__":
    main()
