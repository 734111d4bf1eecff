"""For verifiers: a taskset over `kelvin serve`, `vf-eval kelvin_taskset`.

A module of its own, since that library takes the name of a taskset as the name of a module that is in no package.
"""

import asyncio
import json

import verifiers.v1 as vf

from kelvin_rl import Client

__all__ = ["KelvinTaskset"]


class KelvinData(vf.TaskData):
    """What is asked, and what an answer is held against."""

    label: str
    task_type: str
    url: str


class KelvinConfig(vf.TasksetConfig):
    """`--env.taskset.*`."""

    url: str = "http://127.0.0.1:8080"
    """Where `kelvin serve` listens; the key is read from KELVIN_API_KEY."""
    start: int = 0
    stop: int | None = None
    """Which tasks, by number."""


class KelvinTask(vf.Task[KelvinData]):
    """One question; the verifier's reward for the last reply."""

    @vf.reward
    async def verified(self, trace) -> float:
        client = Client(self.data.url)
        rewards = await asyncio.to_thread(client.rewards, [trace.last_reply or ""], [self.data.label])
        return float(rewards[0])


class KelvinTaskset(vf.Taskset[KelvinTask, KelvinConfig]):
    """The tasks of the server, in order."""

    def load(self):
        client = Client(self.config.url)
        for task in client.tasks(self.config.start, self.config.stop):
            data = KelvinData(
                prompt=task["prompt"],
                label=json.dumps(task["label"]),
                task_type=task["task_type"],
                url=self.config.url,
            )
            yield KelvinTask(data, self.config.task)
