"""kelvin's environments for trainers in Python: a thin client of `kelvin serve`, which does the work.

`Server` starts the binary, `Client` speaks to one. `reward_funcs` is for TRL, `compute_score` for verl (`kelvin_rl.verl`), the
taskset for verifiers is the module `kelvin_taskset`. Trouble of the server is an exception, never a reward.
"""

from .client import Client, KelvinError
from .server import Server
from .trl import dataset_rows, reward_funcs

__all__ = ["Client", "KelvinError", "Server", "dataset_rows", "reward_funcs"]
