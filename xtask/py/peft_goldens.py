"""Writes crates/kelvin-model/goldens/peft: an adapter on the tiny model of goldens/tied as PEFT itself writes it, and what it computes.

    python -m venv .venv && .venv/bin/pip install torch==2.15.0 transformers==5.23.0 peft==0.21.2
    .venv/bin/python xtask/py/peft_goldens.py

Development only, after goldens.py: nothing in the build or in the tests runs it.

    adapter_config.json, adapter_model.safetensors   by `save_pretrained`; B is drawn at random as A is
    expected.json                                    versions, tokens and their log-probabilities
"""

import json

import peft
import torch
import transformers

import goldens

OUT = goldens.OUT / "peft"
N_TOKENS = 40


def main():
    torch.manual_seed(20261123)
    model = transformers.AutoModelForCausalLM.from_pretrained(goldens.OUT / "tied").float().eval()
    n_words = model.config.vocab_size
    config = peft.LoraConfig(
        r=4,
        lora_alpha=6,
        target_modules=["q_proj", "k_proj", "up_proj", "down_proj"],
        task_type="CAUSAL_LM",
        base_model_name_or_path="../tied",
        init_lora_weights=False,
    )
    adapted = peft.get_peft_model(model, config).eval()
    # Drawn weights hardly move it otherwise.
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(0.0, 0.2)
        tokens = torch.randint(0, n_words, (N_TOKENS,))
        rows = torch.log_softmax(adapted(input_ids=tokens[None]).logits[0, :-1], dim=-1)
        logprobs = rows.gather(1, tokens[1:, None])[:, 0].tolist()
        with adapted.disable_adapter():
            plain = torch.log_softmax(adapted(input_ids=tokens[None]).logits[0, :-1], dim=-1)
    # The adapter is what makes the difference.
    assert (plain.gather(1, tokens[1:, None])[:, 0] - torch.tensor(logprobs)).abs().max() > 0.1
    adapted.peft_config["default"].base_model_name_or_path = "../tied"
    adapted.save_pretrained(OUT)
    (OUT / "README.md").unlink(missing_ok=True)
    versions = dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__)
    expected = dict(versions=versions, tokens=tokens.tolist(), logprobs=logprobs)
    (OUT / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
