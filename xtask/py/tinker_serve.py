"""Starts SkyRL's Tinker server with its JAX backend on the CPU, under one interpreter: no `uv`, no torch, no peft.

    python tinker_serve.py --model DIR --port 8123 --state DIR

Needs Python 3.12 and the pins of tinker_pins.txt; `cargo xtask tinker-peer` installs them and calls this. It binds to
127.0.0.1, keeps everything below --state, and starts from an empty data base. SIGTERM ends the server with its engine.

What differs from `python -m skyrl.tinker.api`, all of it in this process: the engine is started by this interpreter
instead of `uv run`; two modules that the JAX backend imports and hardly uses, torch and peft, are stand-ins.
"""

import argparse
import ctypes
import importlib.machinery
import json
import os
import pathlib
import signal
import sys
import types

ENGINE = "engine"


def stand_ins():
    """Puts torch (of which a type is named) and peft (which writes one file) in place."""
    import transformers.utils.import_utils

    # Its answer is remembered: asked later, it would take the stand-in for the library.
    transformers.utils.import_utils.is_torch_available()

    class LoraConfig:
        def __init__(self, **fields):
            self.fields = fields

        def save_pretrained(self, folder):
            text = json.dumps({"peft_type": "LORA", **self.fields})
            pathlib.Path(folder, "adapter_config.json").write_text(text)

    for name, members in [("torch", {"Tensor": type("Tensor", (), {})}), ("peft", {"LoraConfig": LoraConfig})]:
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        module.__dict__.update(members)
        sys.modules[name] = module


def engine():
    """What computes, in a process of its own that ends with its parent."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    sys.argv.remove(ENGINE)
    stand_ins()
    from skyrl.tinker import engine as skyrl_engine

    skyrl_engine.main()


def api():
    """What listens."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--state", type=pathlib.Path, required=True)
    parser.add_argument("--adapters", type=int, default=8)
    parser.add_argument("--rank", type=int, default=32)
    # Batches are padded to it, so that a new size is not a new compilation.
    parser.add_argument("--batch", type=int, default=64)
    args = parser.parse_args()
    state = args.state.resolve()
    state.mkdir(parents=True, exist_ok=True)
    # Requests of a former server would be done again.
    for file in state.glob("tinker.db*"):
        file.unlink()
    os.environ.update(
        JAX_PLATFORMS="cpu",
        HF_HUB_OFFLINE="1",
        TOKENIZERS_PARALLELISM="false",
        JAX_COMPILATION_CACHE_DIR=str(state / "jax"),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
        JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1",
    )
    stand_ins()
    import uvicorn
    from skyrl.tinker import api as skyrl_api
    from skyrl.tinker.config import EngineConfig, config_to_argv

    here = os.path.abspath(__file__)
    skyrl_api._build_uv_run_cmd_engine = lambda _, config: [sys.executable, here, ENGINE, *config_to_argv(config)]
    skyrl_api.app.state.engine_config = EngineConfig(
        base_model=args.model,
        backend="jax",
        database_url=f"sqlite:///{state}/tinker.db",
        checkpoints_base=str(state / "checkpoints"),
        backend_config={
            "max_lora_adapters": args.adapters,
            "max_lora_rank": args.rank,
            "sample_max_num_sequences": args.batch,
            "train_micro_batch_size": args.batch,
        },
    )
    uvicorn.run(skyrl_api.app, host="127.0.0.1", port=args.port, log_level="warning", timeout_keep_alive=75)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == ENGINE:
        engine()
    else:
        api()
