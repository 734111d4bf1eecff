"""For verl: `reward.custom_reward_function.path` is this file, its name `compute_score`. The server is named by KELVIN_URL."""

import os

from kelvin_rl.client import Client

_client = None


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **_):
    """The verifier's reward; the ground truth of a row is its label."""
    global _client
    if _client is None:
        _client = Client(os.environ.get("KELVIN_URL", "http://127.0.0.1:8080"))
    return float(_client.rewards([solution_str], [ground_truth])[0])
