"""Writes crates/kelvin-model/goldens/decode_*: tiny random models, and the text that transformers draws from them.

    python -m venv .venv && .venv/bin/pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0
    .venv/bin/python xtask/py/decode_goldens.py

Development only: nothing in the build or in the tests runs it. Each folder is what transformers saves, with a
tokenizer of Qwen2's kind, and `expected.json`: prompts with their ids, the greedy continuation, its text without the end token, and
the log-probability of every token after the first. `decode_tied` is one file in f32, `decode_untied` shards in bf16.
"""

import json
import pathlib

import tokenizers
import torch
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates/kelvin-model/goldens"
# The pattern of Qwen2's tokenizer.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CORPUS = [
    "def f(a, b):\n    total = a + b\n    return total\n",
    "def f(xs):\n    return [x for x in xs if x % 2 == 0]\n",
    "for i in range(10):\n    print(i, 'it''s')\n",
]
PROMPTS = ["def f(a, b):\n", "x", "It's 2024: caf\u00e9, \u4f60\u597d \U0001f600\n\n  y = 'z'", "<|endoftext|>for i"]
END = "<|endoftext|>"
MAX_NEW = 24


def make_tokenizer():
    inner = tokenizers.Tokenizer(models.BPE())
    inner.normalizer = normalizers.NFC()
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=290,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(CORPUS, trainer)
    inner.add_special_tokens([END, "<|im_end|>"])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=END, pad_token=END)


def make_model(tied, vocab_size):
    config = transformers.Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        rope_parameters=dict(rope_type="default", rope_theta=1_000_000.0),
        tie_word_embeddings=tied,
    )
    model = transformers.Qwen2ForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.normal_(0.0, 0.3)
    return model.eval()


def main():
    for name, tied, dtype in [("tied", True, torch.float32), ("untied", False, torch.bfloat16)]:
        torch.manual_seed(5 + tied)
        out = OUT / f"decode_{name}"
        tokenizer = make_tokenizer()
        ends = [tokenizer.convert_tokens_to_ids(END), tokenizer.convert_tokens_to_ids("<|im_end|>")]
        model = make_model(tied, vocab_size=320).to(dtype)
        # A token that is drawn, so that some row ends before its limit.
        prompt = torch.tensor([tokenizer("x", add_special_tokens=False)["input_ids"]])
        drawn = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=MAX_NEW, do_sample=False)
        ends.append(drawn[0, 12].item())
        model.generation_config = transformers.GenerationConfig(
            do_sample=False, eos_token_id=ends, pad_token_id=ends[0]
        )
        model.save_pretrained(out, max_shard_size="60KB" if not tied else "5GB")
        tokenizer.save_pretrained(out)
        # What was saved is what is compared; arithmetic is f32 on both sides.
        model = transformers.AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
        tokenizer = transformers.AutoTokenizer.from_pretrained(out)
        rows = []
        for prompt in PROMPTS:
            ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                drawn = model.generate(
                    torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=MAX_NEW
                )[0]
                logits = model(drawn[None]).logits[0].double()
            shown = drawn[len(ids) :]
            if shown[-1].item() in ends:
                shown = shown[:-1]
            logprobs = torch.log_softmax(logits, -1)[:-1].gather(1, drawn[1:, None])[:, 0]
            rows.append(
                dict(
                    prompt=prompt,
                    prompt_ids=ids,
                    drawn_ids=drawn[len(ids) :].tolist(),
                    text=tokenizer.decode(shown, skip_special_tokens=True),
                    logprobs=[round(x, 7) for x in logprobs.tolist()],
                )
            )
        versions = dict(torch=torch.__version__, transformers=transformers.__version__)
        expected = dict(versions=versions, max_new_tokens=MAX_NEW, end_tokens=sorted(ends), rows=rows)
        (out / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
