"""Makes a small run, and has the libraries of those who read what kelvin writes read it: transformers loads the exported model,
scores and continues text as kelvin does; PEFT loads an exported adapter; `datasets` reads the tasks from both formats;
TensorBoard reads the curves. `cargo xtask readers` installs them and calls this. Ends with exit code 1 at the first difference.
"""

import argparse
import json
import pathlib
import shutil
import struct
import subprocess

import datasets
import peft
import tensorboard
import torch
import transformers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

# In f32, as of the engine's parity with transformers: natural logarithms of probabilities.
TOLERANCE = 2e-4
N_NEW = 48
# What a base of another shape is made of here: it only has to play.
BASE = "seed = 1\n[corpus]\nn_programs = 1000\nn_examples = 3000\n[train]\ntokens = 100000\nbatch_tokens = 1024\nlearning_rate = 3e-3\n"
SHAPE = "hidden_size = 64\nintermediate_size = 128\nnum_hidden_layers = 2\nnum_attention_heads = 4\nnum_key_value_heads = 2\n"
STEPS = ["--steps", "2", "--set", "azr.batch_size=8", "--set", "eval.every=0", "--set", "checkpoint.every=1"]
ADAPTER = ["--set", "policy.lora.rank=4", "--set", "optimizer.learning_rate=0.01"]


class Kelvin:
    def __init__(self, binary: pathlib.Path, folder: pathlib.Path):
        self.binary, self.folder = binary, folder

    def run(self, *arguments, text="") -> str:
        arguments = [str(self.binary), *map(str, arguments)]
        return subprocess.run(arguments, input=text, stdout=subprocess.PIPE, text=True, check=True).stdout

    def train(self, name: str, *settings) -> pathlib.Path:
        run = self.folder / name
        self.run("train", "--plain", "--run-dir", run, *STEPS, "--set", "checkpoint.transcripts_every=1", *settings)
        return run

    def pretrain(self, family: str) -> pathlib.Path:
        config = self.folder / f"{family}.toml"
        config.write_text(f'{BASE}[model]\nfamily = "{family}"\nvocab_size = 512\nmax_position_embeddings = 512\n{SHAPE}')
        self.run("pretrain", "--config", config, "--out", self.folder / family)
        return self.folder / family

    def export(self, run: pathlib.Path, name: str, *options) -> pathlib.Path:
        self.run("export", run, "--out", self.folder / name, *options)
        return self.folder / name

    def greedy(self, model: pathlib.Path, prompt: str) -> dict:
        return json.loads(self.run("sample", model, "--prompt", "-", "--temperature", 0, "--max-new", N_NEW, "--json", text=prompt))

    def logprobs(self, model: pathlib.Path, tokens: list[int]) -> torch.Tensor:
        return torch.tensor(json.loads(self.run("logprobs", model, text=json.dumps({"tokens": tokens})))["logprobs"])


def lines(path: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def prompts(run: pathlib.Path) -> list[str]:
    """One of each kind that the run asked."""
    kinds = {}
    for row in lines(run / "transcripts" / "000001.jsonl"):
        kinds.setdefault((row["role"], row["task_type"]), row["prompt"])
    assert kinds
    return list(kinds.values())


def scored(model, tokens: list[int]) -> torch.Tensor:
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0, :-1].float()
    return torch.log_softmax(logits, -1).gather(1, torch.tensor(tokens[1:])[:, None])[:, 0]


def furthest(kelvin: Kelvin, folder: pathlib.Path, model, sequences: list[list[int]]) -> float:
    apart = max(float((scored(model, it) - kelvin.logprobs(folder, it)).abs().max()) for it in sequences)
    assert apart < TOLERANCE, apart
    return apart


def whole(kelvin: Kelvin, run: pathlib.Path):
    """The exported model, loaded as its card says, and what it was asked, token by token."""
    folder = kelvin.export(run, f"{run.name}-model")
    card = (folder / "README.md").read_text()
    classes = [getattr(transformers, it) for it in ("PreTrainedTokenizerFast", "AutoTokenizer") if f"= {it}.from" in card]
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    tokenizer = classes[0].from_pretrained(folder)
    sequences = []
    for prompt in prompts(run):
        encoded = tokenizer(prompt, return_tensors="pt")
        n_prompt = encoded["input_ids"].shape[1]
        drawn = model.generate(**encoded, do_sample=False, max_new_tokens=N_NEW)[0].tolist()
        ours = kelvin.greedy(folder, prompt)
        assert ours["prompt_tokens"] == drawn[:n_prompt], (prompt, tokenizer.convert_ids_to_tokens(drawn[:n_prompt]))
        assert ours["tokens"] == drawn[n_prompt:], (prompt, ours["text"])
        told = tokenizer.decode(drawn[n_prompt:], skip_special_tokens=True)
        assert told.startswith(ours["text"]), (told, ours["text"])
        sequences.append(drawn)
    apart = furthest(kelvin, folder, model, sequences)
    n_new = sum(map(len, sequences))
    print(f"transformers {transformers.__version__}, {model.config.model_type}: {len(sequences)} greedy continuations are the same, {n_new} tokens scored within {apart:.1e}")
    return folder, sequences


def adapter(kelvin: Kelvin, base: pathlib.Path, sequences):
    run = kelvin.train("adapter-run", "--set", f"policy.model={base}", *ADAPTER)
    folder, merged = kelvin.export(run, "adapter", "--adapter"), kelvin.export(run, "merged")
    plain = transformers.AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    before = [scored(plain, it) for it in sequences]
    model = peft.AutoPeftModelForCausalLM.from_pretrained(folder, dtype="auto")
    moved = max(float((scored(model, it) - was).abs().max()) for it, was in zip(sequences, before))
    assert moved > 10 * TOLERANCE, f"the adapter changes nothing to speak of: {moved}"
    apart = furthest(kelvin, merged, model, sequences)
    print(f"peft {peft.__version__}: the adapter moves log-probabilities by up to {moved:.2f}, and is the merged model within {apart:.1e}")


def tasks(kelvin: Kelvin, run: pathlib.Path):
    cache = str(kelvin.folder / "cache")
    kept = lines(run / "tasks.jsonl")
    for kind, name in (("parquet", "parquet"), ("jsonl", "json")):
        out = kelvin.folder / f"tasks.{kind}"
        kelvin.run("tasks", run, "--format", kind, "--out", out)
        rows = datasets.load_dataset(name, data_files=str(out), split="train", cache_dir=cache)
        assert len(rows) == len(kept)
        for row, task in zip(rows, kept):
            assert (row["task_type"], row["born"]) == (task["task_type"], task["born"])
            payload = json.loads(row["payload"]) if kind == "parquet" else row["payload"]
            # A table has all columns in every row.
            assert {key: it for key, it in payload.items() if it is not None} == task["payload"], task
    print(f"datasets {datasets.__version__}: {len(kept)} tasks from Parquet and from JSON lines")


def as_f32(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]


def curves(run: pathlib.Path):
    rows = lines(run / "metrics.jsonl")
    found = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    found.Reload()
    tags = found.Tags()["scalars"]
    assert set(tags) == {name for row in rows for name in row} - {"step"}
    for tag in tags:
        events = [(event.step, event.value) for event in found.Scalars(tag)]
        assert events == [(row["step"], as_f32(row[tag])) for row in rows if tag in row], tag
    print(f"tensorboard {tensorboard.__version__}: {len(tags)} curves")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--binary", type=pathlib.Path, required=True)
    arguments.add_argument("--folder", type=pathlib.Path, required=True)
    asked = arguments.parse_args()
    shutil.rmtree(asked.folder, ignore_errors=True)
    asked.folder.mkdir(parents=True)
    torch.set_num_threads(2)
    kelvin = Kelvin(asked.binary.resolve(), asked.folder)
    run = kelvin.train("run")
    folder, sequences = whole(kelvin, run)
    for family in ("qwen3", "llama"):
        whole(kelvin, kelvin.train(f"{family}-run", "--set", f"policy.model={kelvin.pretrain(family)}"))
    adapter(kelvin, folder, sequences)
    tasks(kelvin, run)
    curves(run)


main()
