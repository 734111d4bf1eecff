"""Writes crates/kelvin-model/goldens/lora: an adapter on the tiny model of goldens/tied, and what PyTorch computes.

    python -m venv .venv && .venv/bin/pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0
    .venv/bin/python xtask/py/lora_goldens.py

Development only, after goldens.py: nothing in the build or in the tests runs it. LoRA is written here in plain torch,
as PEFT computes it: `y = x W^T + s (x A^T) B^T` with W frozen. Files are named as PEFT names them.

    adapter_config.json, adapter_model.safetensors   the adapter, neither A nor B zero
    expected.json         versions, objective, samples, AdamW's constants, log-probabilities and statistics
    gradient.safetensors  the gradient of the objective by A and B, before clipping
    stepped.safetensors   A and B after two clipped AdamW steps
"""

import json
import math
import pathlib

import safetensors.torch
import torch
import transformers

import goldens

OUT = goldens.OUT / "lora"
RANK, ALPHA = 3, 5.0
TARGETS = ["q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SCALE = ALPHA / math.sqrt(RANK)


class Adapted(torch.nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base
        self.lora_A = torch.nn.Parameter(torch.empty(RANK, base.in_features).normal_(0.0, 0.2))
        self.lora_B = torch.nn.Parameter(torch.empty(base.out_features, RANK).normal_(0.0, 0.2))

    def forward(self, x):
        return self.base(x) + SCALE * torch.nn.functional.linear(torch.nn.functional.linear(x, self.lora_A), self.lora_B)


def adapt(model):
    """Puts adapters beside the targets and answers with their parameters under PEFT's names."""
    parameters = {}
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for idx, layer in enumerate(model.model.layers):
        for module in ("self_attn", "mlp"):
            inside = getattr(layer, module)
            for target in TARGETS:
                if hasattr(inside, target):
                    adapted = Adapted(getattr(inside, target))
                    setattr(inside, target, adapted)
                    for part in ("lora_A", "lora_B"):
                        name = f"base_model.model.model.layers.{idx}.{module}.{target}.{part}.weight"
                        parameters[name] = getattr(adapted, part)
    return parameters


def save(parameters, file, tensor_of):
    tensors = {name: tensor_of(parameter).detach().clone().contiguous() for name, parameter in parameters.items()}
    safetensors.torch.save_file(tensors, OUT / file)


def main():
    torch.manual_seed(20261121)
    torch.use_deterministic_algorithms(True)
    OUT.mkdir(parents=True, exist_ok=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(goldens.OUT / "tied").float().eval()
    parameters = adapt(model)
    objective = dict(surrogate=goldens.PPO, aggregation="group_token", entropy_coefficient=0.02, temperature=0.8)
    samples = goldens.draw_samples(model, objective["temperature"], True)
    save(parameters, "adapter_model.safetensors", lambda p: p)
    config = dict(
        peft_type="LORA",
        task_type="CAUSAL_LM",
        base_model_name_or_path="../tied",
        r=RANK,
        lora_alpha=ALPHA,
        lora_dropout=0.0,
        target_modules=TARGETS,
        use_rslora=True,
        bias="none",
        use_dora=False,
        rank_pattern={},
        alpha_pattern={},
        modules_to_save=None,
    )
    (OUT / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    with torch.no_grad():
        logprobs = []
        for sample in samples:
            ids = torch.tensor([sample["prompt"] + sample["response"]])
            rows = torch.log_softmax(model(input_ids=ids).logits[0, :-1] / objective["temperature"], dim=-1)
            logprobs.append(rows.gather(1, ids[0, 1:, None])[:, 0].tolist())
    adam = goldens.ADAM
    optimizer = torch.optim.AdamW(
        parameters.values(),
        weight_decay=adam["weight_decay"],
        lr=adam["learning_rate"],
        betas=(adam["beta1"], adam["beta2"]),
        eps=adam["eps"],
    )
    steps = []
    for step in range(2):
        optimizer.zero_grad()
        loss, entropy, kl = goldens.objective_loss(model, samples, objective)
        loss.backward()
        if step == 0:
            save(parameters, "gradient.safetensors", lambda p: p.grad)
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), adam["grad_clip"])
        optimizer.step()
        steps.append(dict(loss=loss.item(), entropy=entropy, kl_old_new=kl, grad_norm=norm.item()))
    save(parameters, "stepped.safetensors", lambda p: p)
    versions = dict(torch=torch.__version__, transformers=transformers.__version__)
    expected = dict(
        versions=versions, objective=objective, samples=samples, adam=adam, logprobs=logprobs, next_logprobs=[], steps=steps
    )
    (OUT / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
