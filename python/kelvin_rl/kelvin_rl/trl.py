"""For TRL: reward functions and the rows of a dataset. A row has the columns `prompt` and `label`."""

import json


def dataset_rows(client, start=0, stop=None):
    """Rows for `datasets.Dataset.from_list`: prompts as messages, labels as texts."""
    for task in client.tasks(start, stop):
        prompt = [{"role": "user", "content": task["prompt"]}]
        yield {"prompt": prompt, "label": json.dumps(task["label"]), "task_type": task["task_type"]}


def reward_funcs(client):
    """What `GRPOTrainer(reward_funcs=...)` takes: the verifier's reward by the column `label`."""

    def kelvin_reward(prompts, completions, label, **columns):
        if not len(prompts) == len(completions) == len(label):
            raise ValueError("prompts, completions and labels are of different lengths")
        return [float(it) for it in client.rewards(map(text_of, completions), label)]

    return [kelvin_reward]


def text_of(completion):
    """The text of a completion, which may be messages: what the last assistant said."""
    if isinstance(completion, str):
        return completion
    for message in reversed(completion):
        if message.get("role") == "assistant":
            content = message.get("content") or ""
            if isinstance(content, str):
                return content
            return "".join(part.get("text", "") for part in content if part.get("type") == "text")
    return ""
