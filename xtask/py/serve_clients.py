"""Drives `kelvin serve` with the clients of other projects, as they come from PyPI, and says what each saw.

    python serve_clients.py --binary target/release/kelvin --package python/kelvin_rl [--out FILE]

Needs what is to be tried: openenv, requests with verl (its files alone: pip install --no-deps verl), aiohttp with openrlhf
(--no-deps), verifiers, trl with torch, nemo-gym. What is not installed is named and left out; the exit status is 1 if a check fails.
"""

import argparse
import ast
import asyncio
import contextlib
import http.server
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import traceback
import types

PACKAGES = ["openenv", "verl", "openrlhf", "trl", "torch", "verifiers", "requests", "aiohttp", "nemo-gym"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--package", required=True, help="the folder of kelvin_rl")
    parser.add_argument("--needs", nargs="*", default=[], help="packages without which this fails")
    parser.add_argument("--out", help="where the report goes; standard output without it")
    arguments = parser.parse_args()
    sys.path.insert(0, arguments.package)
    global kelvin_rl
    import kelvin_rl

    checks = []
    for package in arguments.needs:
        if version(package) is None:
            checks.append({"check": package, "result": "failed", "detail": "not installed"})
    options = ["--fresh", "8", "--sessions-max", "8"]
    with kelvin_rl.Server(options, binary=arguments.binary) as server:
        for needs, check in CHECKS:
            name = check.__name__
            missing = [it for it in needs if version(it) is None]
            if missing:
                row = {"check": name, "result": "skipped", "detail": f"not installed: {', '.join(missing)}"}
            else:
                try:
                    row = {"check": name, "result": "ok", "detail": check(server)}
                except Exception:
                    row = {"check": name, "result": "failed", "detail": traceback.format_exc()}
            checks.append(row)
            print(f"{row['result']:8} {name}: {row['detail']}", file=sys.stderr)
    found = {it: version(it) for it in PACKAGES if version(it)}
    report = {"python": sys.version.split()[0], "packages": found, "checks": checks}
    text = json.dumps(report, indent=2) + "\n"
    if arguments.out:
        pathlib.Path(arguments.out).write_text(text)
    else:
        print(text, end="")
    sys.exit(any(it["result"] == "failed" for it in checks))


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def equal(got, wanted):
    if got != wanted:
        raise AssertionError(f"{got!r} instead of {wanted!r}")


def deductions(server):
    """Tasks whose answer is known from their label, with the response that gives it."""
    for task in server.client().tasks():
        if task["task_type"] == "deduction":
            yield task, answer(task["label"]["payload"]["output"])


def answer(text):
    return f"<think> it is so </think> <answer> ```output\n{text}\n``` </answer>"


def own_client(server):
    client = server.client()
    tasks = list(deductions(server))
    rewards = client.rewards([right for _, right in tasks], [task["label"] for task, _ in tasks])
    equal(rewards, [1.0] * len(tasks))
    wrong = client.graded([answer("'no'"), "?"], [tasks[0][0]["label"]] * 2)
    equal((wrong["rewards"], wrong["formatted"]), ([0.0, 0.0], [1.0, 0.0]))
    ran = client.run_code("print(int(input()) + 1)", "41")
    equal((ran["stdout"], ran["return_code"]), ("42\n", 0))
    try:
        client.rewards(["x"], ["no task"])
    except kelvin_rl.KelvinError as error:
        assert "422" in str(error)
    else:
        raise AssertionError("a label that is none gave a reward")
    return f"{len(tasks)} right answers, 2 wrong ones, a program, a refusal"


def open_env_client(server):
    from openenv.core.generic_client import GenericEnvClient

    labels = {task["index"]: right for task, right in deductions(server)}
    n_right, n = 0, 0
    with GenericEnvClient(base_url=server.url).sync() as env:
        for seed in range(12):
            first = env.reset(seed=seed)
            equal((first.done, first.reward), (False, None))
            equal(env.state()["step_count"], 0)
            index = first.observation["metadata"]["task_index"]
            last = env.step({"response": labels.get(index, "?")})
            equal((last.done, env.state()["step_count"]), (True, 1))
            equal(last.reward, 1.0 if index in labels else 0.0)
            equal(last.observation["prompt"], first.observation["prompt"])
            n, n_right = n + 1, n_right + int(last.reward)
        again = env.reset(seed=0)
        equal(again.observation["prompt"], env.reset(seed=0).observation["prompt"])
        env.step({"response": "?"})
        for bad in ({"response": "?"}, {"answer": "?"}):
            try:
                env.step(bad)
            except RuntimeError as error:
                said = str(error)
            else:
                raise AssertionError(f"{bad} was taken")
    return f"{n} episodes on one socket, {n_right} right; a second step and an unknown action refused: {said[:80]}"


def open_env_sockets_at_once(server):
    from openenv.core.generic_client import GenericEnvClient

    async def one(seed):
        async with GenericEnvClient(base_url=server.url) as env:
            first = await env.reset(seed=seed)
            last = await env.step({"response": "?"})
            return first.observation["prompt"], last.reward

    async def all_of():
        return await asyncio.gather(*(one(seed % 2) for seed in range(8)))

    seen = asyncio.run(all_of())
    equal(len({prompt for prompt, _ in seen}), 2)
    equal({reward for _, reward in seen}, {0.0})
    return "8 sockets at once, equal seeds give equal tasks"


def open_env_capacity(server):
    from openenv.core.generic_client import GenericEnvClient

    async def fill():
        kept = [GenericEnvClient(base_url=server.url) for _ in range(8)]
        for env in kept:
            await env.reset(seed=0)
        try:
            over = GenericEnvClient(base_url=server.url)
            await over.reset(seed=0)
        except Exception as error:
            said = str(error)
        else:
            raise AssertionError("a ninth session was opened")
        for env in kept:
            await env.close()
        return said

    said = asyncio.run(fill())
    assert "CAPACITY_REACHED" in said or "sessions are open" in said, said
    return said[:120]


def file_of(package, path):
    """A file of an installed package, without running the package's own start."""
    found = importlib.metadata.distribution(package).locate_file(path)
    if not pathlib.Path(found).is_file():
        raise AssertionError(f"{package} has no {path} any more")
    return found


def module_of(package, path, name):
    spec = importlib.util.spec_from_file_location(name, file_of(package, path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def verl_sandbox_fusion(server):
    utils = module_of("verl", "verl/utils/reward_score/sandbox_fusion/utils.py", "sandbox_fusion.utils")

    # What verl waits beyond both limits; a machine that does much else at the time takes longer to use a limit up.
    utils.API_TIMEOUT = 120

    def check(code, inputs, outputs, **more):
        asked = {"inputs": inputs, "outputs": outputs, **more}
        results, metadata = utils.check_correctness(f"{server.url}/run_code", asked, code, timeout=3)
        return results, [it["status"] for it in metadata]

    add = "a, b = map(int, input().split())\nprint(a + b)"
    equal(check(add, ["1 2", "3 4\n"], ["3", "7\n"]), ([True, True], ["success", "success"]))
    equal(check(add, ["1 2"], ["4"]), ([False], ["wrong_answer"]))
    equal(check("print(1 / 0)", [""], ["1"]), ([-2], ["runtime_error"]))
    equal(check("print(", [""], ["1"]), ([-2], ["runtime_error"]))
    equal(check("while True: pass", [""], ["1"]), ([-3], ["timeout"]))
    equal(check("x = bytearray(1 << 40)", [""], [""]), ([-2], ["runtime_error"]))
    solution = "class Solution:\n    def twice(self, xs):\n        return [2 * x for x in xs]"
    equal(check(solution, ["[1, 2]"], ["[2, 4]"], fn_name="twice"), ([True], ["success"]))
    many = check(add, [f"{i} {i}" for i in range(64)], [str(2 * i) for i in range(64)])
    equal(many[0], [True] * 64)
    return "check_correctness: right, wrong, raised, syntax, timeout, memory, a method, 64 cases at once"


def slime_body(server):
    import aiohttp

    task, right = next(deductions(server))

    async def ask(response):
        body = {"prompt": task["prompt"], "response": response, "label": json.dumps(task["label"])}
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{server.url}/reward", json=body) as answered:
                answered.raise_for_status()
                return await answered.json()

    got = [asyncio.run(ask(it)) for it in (right, "?")]
    equal(got, [1.0, 0.0])
    return "the body of remote_rm by aiohttp, resp.json() is a number"


def open_rlhf_executor(server):
    root = importlib.metadata.distribution("openrlhf").locate_file("openrlhf")
    # The packages' own starts import torch and ray, which a reward does not need.
    for name, path in (("openrlhf", root), ("openrlhf.utils", pathlib.Path(root) / "utils")):
        package = types.ModuleType(name)
        package.__path__ = [str(path)]
        sys.modules[name] = package
    agent = module_of("openrlhf", "openrlhf/utils/agent.py", "openrlhf.utils.agent")
    executor = agent.SingleTurnAgentExecutor(f"{server.url}/get_reward")
    task, right = next(deductions(server))
    prompts = [task["prompt"]] * 2
    queries = [f"<s>{task['prompt']}{response}</s>" for response in (right, "?")]
    labels = [json.dumps(task["label"])] * 2
    (got,) = asyncio.run(executor._fetch_rewards_via_http(queries, prompts, labels))
    equal((got["rewards"], got["scores"]), ([1.0, 0.0], [1.0, 0.0]))
    return "SingleTurnAgentExecutor fetches rewards, scores and extra_logs"


def trl_reward_function(server):
    source = pathlib.Path(file_of("trl", "trl/trainer/grpo_trainer.py")).read_text()
    calls = [it for it in ast.walk(ast.parse(source)) if isinstance(it, ast.Call)]
    calls = [it for it in calls if isinstance(it.func, ast.Name) and it.func.id == "reward_func" and not it.args]
    named = [{keyword.arg for keyword in call.keywords} for call in calls]
    assert {"prompts", "completions", "completion_ids", None} in named, named
    (reward,) = kelvin_rl.reward_funcs(server.client())
    rows = [it for it in kelvin_rl.dataset_rows(server.client()) if it["task_type"] == "deduction"][:2]
    label = json.loads(rows[0]["label"])
    right = answer(label["payload"]["output"])
    for completions in ([right, "?"], [[{"role": "assistant", "content": it}] for it in (right, "?")]):
        got = reward(
            prompts=[row["prompt"] for row in rows],
            completions=completions,
            completion_ids=[[1], [2]],
            label=[rows[0]["label"], rows[1]["label"]],
            task_type=[row["task_type"] for row in rows],
            trainer_state=None,
            log_extra=print,
            log_metric=print,
        )
        equal(got, [1.0, 0.0])
    return "the keywords of GRPOTrainer's call as its source has them; texts and messages"


def trl_trainer(server):
    """Two steps of GRPO. Every other completion is the right answer, so that what the trainer logs is known."""
    import copy
    import tempfile

    import datasets
    import torch
    import transformers
    import trl

    config = transformers.Qwen2Config(
        vocab_size=257,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=8192,
    )
    torch.manual_seed(0)
    model = transformers.Qwen2ForCausalLM(config)
    before = copy.deepcopy(model.state_dict())
    rows = [it for it in kelvin_rl.dataset_rows(server.client()) if it["task_type"] == "deduction"][:2]
    right = {it["prompt"][0]["content"]: answer(json.loads(it["label"])["payload"]["output"]) for it in rows}
    asked, tokenizer = [], byte_tokenizer()

    def rollout(prompts, trainer):
        texts = [right[it[0]["content"]] if at % 2 == 0 else answer("'no'") for at, it in enumerate(prompts)]
        asked.extend(texts)
        ids = [[*tokenizer(it)["input_ids"], tokenizer.eos_token_id] for it in texts]
        return {
            "prompt_ids": [tokenizer(it[0]["content"])["input_ids"] for it in prompts],
            "completion_ids": ids,
            "logprobs": [[-5.5] * len(it) for it in ids],
        }

    with tempfile.TemporaryDirectory() as folder:
        settings = trl.GRPOConfig(
            output_dir=folder,
            use_cpu=True,
            report_to="none",
            per_device_train_batch_size=4,
            num_generations=4,
            max_completion_length=256,
            max_steps=2,
            learning_rate=1e-3,
            logging_steps=1,
            bf16=False,
            disable_tqdm=True,
        )
        trainer = trl.GRPOTrainer(
            model=model,
            args=settings,
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=tokenizer,
            reward_funcs=kelvin_rl.reward_funcs(server.client()),
            rollout_func=rollout,
        )
        trainer.train()
    logged = [it for it in trainer.state.log_history if "reward" in it]
    equal([it["reward"] for it in logged], [0.5, 0.5])
    equal([it["rewards/kelvin_reward/mean"] for it in logged], [0.5, 0.5])
    moved = sum(not torch.equal(before[name], it) for name, it in trainer.model.state_dict().items())
    assert moved, "no weight has moved"
    return f"GRPOTrainer, 2 steps, {len(asked)} completions graded over HTTP, mean reward 0.5 as made, {moved} tensors moved"


def byte_tokenizer():
    """A token a byte, and an end."""
    import tokenizers
    import transformers

    texts = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    of_byte = tokenizers.models.BPE(vocab={text: at for at, text in enumerate(texts)}, merges=[])
    made = tokenizers.Tokenizer(of_byte)
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", pad_token="<end>")
    tokenizer.chat_template = "{% for it in messages %}{{ it.content }}{% endfor %}"
    return tokenizer


def verifiers_evaluation(server):
    """Its own evaluation by the name of the taskset, over a model's server that answers every other question rightly."""
    right = dict((task["prompt"], text) for task, text in deductions(server))
    asked = {}
    with tempfile.TemporaryDirectory() as folder, chat_server(right, asked) as model:
        command = [pathlib.Path(sys.executable).with_name("vf-eval"), "kelvin_taskset"]
        options = {
            "--env.taskset.url": server.url,
            "--env.agent.harness.id": "null",
            "--env.agent.runtime.type": "subprocess",
            "--client.base-url": model,
            "--client.api-key-var": "MODEL_KEY",
            "-m": "m",
            "-r": "1",
            "-o": folder,
        }
        command += [it for pair in options.items() for it in pair] + ["--no-push"]
        package = str(pathlib.Path(kelvin_rl.__file__).parent.parent)
        environment = {**os.environ, "PYTHONPATH": package, "MODEL_KEY": "none"}
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        equal((ran.returncode, ran.stderr if ran.returncode else ""), (0, ""))
        (path,) = pathlib.Path(folder).glob("*/traces.jsonl")
        episodes = [json.loads(line) for line in path.read_text().splitlines()]
    n_right = 0
    for episode in episodes:
        prompt = episode["task"]["data"]["prompt"]
        (trace,) = episode["traces"]
        equal(trace["errors"], [])
        wanted = float(asked[prompt] == right.get(prompt))
        equal(trace["rewards"], {"verified": {"score": wanted, "weight": 1.0}})
        n_right += int(wanted)
    assert len(right) > 1 and n_right == (len(right) + 1) // 2, (len(right), n_right)
    return f"vf-eval kelvin_taskset: {len(episodes)} episodes over a chat endpoint, {n_right} right and rewarded, no error"


@contextlib.contextmanager
def chat_server(right, asked):
    """An endpoint as OpenAI's, which streams; notes what it said to each prompt. Gives its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            prompt = body["messages"][-1]["content"]
            with lock:
                is_right = prompt in right and sum(it in right for it in asked) % 2 == 0
                asked[prompt] = right[prompt] if is_right else answer("'no'")
            common = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": body["model"]}
            delta = {"role": "assistant", "content": asked[prompt]}
            chunks = [
                {**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
                {**common, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                {**common, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}},
            ]
            lines = [f"data: {json.dumps(it)}\n\n" for it in chunks] + ["data: [DONE]\n\n"]
            text = "".join(lines).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    lock = threading.Lock()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}/v1"
        finally:
            listening.shutdown()


def nemo_gym_agent(server):
    """Its simple agent between this server and a model that answers every other question rightly, each in a port of its own."""
    import socket

    import omegaconf
    import uvicorn
    from nemo_gym import base_resources_server, reward_profile, server_utils
    from nemo_gym.config_types import BaseServerConfig, ModelServerRef, ResourcesServerRef
    from responses_api_agents.simple_agent import app as simple_agent

    tasks = list(deductions(server))[:3]
    right = {task["prompt"]: text for task, text in tasks}
    asked = []

    def listening():
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        return bound

    sockets = {"agent": listening(), "model": listening()}
    places = {name: it.getsockname()[1] for name, it in sockets.items()}
    places["kelvin"] = int(server.url.rsplit(":", 1)[1])
    kinds = {"agent": "responses_api_agents", "model": "responses_api_models", "kelvin": "resources_servers"}
    config = {
        name: {kinds[name]: {name: {"host": "127.0.0.1", "port": port}}} for name, port in places.items()
    }
    head = BaseServerConfig(host="127.0.0.1", port=1)
    client = server_utils.ServerClient(head_server_config=head, global_config_dict=omegaconf.OmegaConf.create(config))
    settings = simple_agent.SimpleAgentConfig(
        name="agent",
        host="127.0.0.1",
        port=places["agent"],
        entrypoint="app.py",
        resources_server=ResourcesServerRef(type="resources_servers", name="kelvin"),
        model_server=ModelServerRef(type="responses_api_models", name="model"),
    )
    agent = simple_agent.SimpleAgent(config=settings, server_client=client)

    async def all_of():
        server_utils.set_global_aiohttp_client(server_utils.GlobalAIOHTTPAsyncClientConfig())
        apps = {"agent": agent.setup_webserver(), "model": nemo_gym_model(right, asked)}
        servers = {name: uvicorn.Server(uvicorn.Config(app, log_level="warning")) for name, app in apps.items()}
        running = [asyncio.create_task(it.serve(sockets=[sockets[name]])) for name, it in servers.items()]

        async def post(name, path, body):
            answered = await client.post(server_name=name, url_path=path, json=body)
            await server_utils.raise_for_status(answered)
            return await server_utils.get_response_json(answered)

        rows = []
        for at, (task, _) in enumerate(tasks):
            for number in range(2):
                asking = {"input": [{"role": "user", "content": task["prompt"]}]}
                row = {"_ng_task_index": at, "_ng_rollout_index": number}
                said = await post("agent", "/run", {"responses_create_params": asking, "label": task["label"]})
                # What a collection keeps of a rollout before it asks for metrics.
                kept = {key: value for key, value in said.items() if key not in ("response", "responses_create_params")}
                rows.append({**kept, **row, "response": {"usage": said["response"]["usage"]}})
        equal([it["reward"] for it in rows], [1.0, 0.0] * len(tasks))
        equal([it["label"] for it in rows], [task["label"] for task, _ in tasks for _ in range(2)])
        answered = await post("agent", "/aggregate_metrics", {"verify_responses": rows})
        got = base_resources_server.AggregateMetrics.model_validate(answered)
        for running_server in servers.values():
            running_server.should_exit = True
        await asyncio.gather(*running)
        return rows, got

    rows, got = asyncio.run(all_of())
    own = reward_profile.compute_aggregate_metrics(rows)
    n = nemo_gym_compared(got.agent_metrics, own.agent_metrics) + nemo_gym_compared(got.key_metrics, own.key_metrics)
    equal(len(got.group_level_metrics), len(own.group_level_metrics))
    for ours, theirs in zip(got.group_level_metrics, own.group_level_metrics):
        for name in ("_ng_task_index", "num_rollouts", "rollout_infos"):
            equal(ours[name], theirs[name])
        n += nemo_gym_compared(ours, theirs)
    return (
        f"SimpleAgent, {len(rows)} rollouts by {len(asked)} calls of a model: seed_session, verify, aggregate_metrics; "
        f"{n} statistics equal to those of its own resources servers"
    )


def nemo_gym_model(right, asked):
    """A model's server: every other answer to a prompt is the right one."""
    import fastapi

    app = fastapi.FastAPI()

    @app.post("/v1/responses")
    async def responses(body: dict):
        text = right[body["input"][0]["content"]] if len(asked) % 2 == 0 else answer("'no'")
        asked.append(text)
        content = [{"type": "output_text", "text": text, "annotations": []}]
        message = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": content}
        usage = {
            "input_tokens": 10 + len(asked),
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": len(text),
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 10 + len(asked) + len(text),
        }
        return {
            "id": "r",
            "created_at": 0,
            "model": "m",
            "object": "response",
            "output": [message],
            "parallel_tool_calls": False,
            "tool_choice": "auto",
            "tools": [],
            "usage": usage,
        }

    return app


def nemo_gym_compared(ours, theirs):
    """Of the statistics that it has, all are here and equal, but for those across repeats."""
    statistics = ("mean/", "max/", "min/", "median/", "std/")
    named = [{it for it in some if it.startswith(statistics)} for some in (ours, theirs)]
    equal(*named)
    for name in named[0]:
        assert abs(ours[name] - theirs[name]) < 1e-9 * max(1.0, abs(theirs[name])), (name, ours[name], theirs[name])
    return len(named[0])


CHECKS = [
    ([], own_client),
    (["openenv"], open_env_client),
    (["openenv"], open_env_sockets_at_once),
    (["openenv"], open_env_capacity),
    (["verl", "requests"], verl_sandbox_fusion),
    (["aiohttp"], slime_body),
    (["openrlhf", "aiohttp"], open_rlhf_executor),
    (["trl"], trl_reward_function),
    (["trl", "torch", "datasets"], trl_trainer),
    (["verifiers"], verifiers_evaluation),
    (["nemo-gym"], nemo_gym_agent),
]

if __name__ == "__main__":
    main()
