"""Recording the learning history of a run: a consumer of the training loop that passes every update on."""

from __future__ import annotations

from collections.abc import Generator, Iterable

from torch import Tensor

from kickstarting.config import Config
from kickstarting.envs import describe
from kickstarting.runs.histories import OBSERVATION, About
from kickstarting.runs.histories_writer import HistoriesWriter
from kickstarting.runs.layout import RunDirectory
from kickstarting.suites import load_suite
from kickstarting.train import Update
from kickstarting.types import Trajectory


class Recorder:
    """Appends the unrolls of a run to its histories, a history for each column. frames: where the run goes on.

    What a killed run had written after that is dropped. Raises ValueError if pyarrow is missing, or the file is not this run's.
    """

    def __init__(self, directory: RunDirectory, config: Config, frames: int) -> None:
        suite, learning = load_suite(config.suite), config.learning
        spaces = describe(suite.tasks, timeout=config.machine.environment_timeout)
        names = [suite.tasks[task].name for task in spaces.task_of_column(learning.envs_per_task, config.column_groups)]
        facts = {"suite": config.suite, "source": config.group, "seed": config.seed}
        per_step = learning.envs_per_task * sum(task.action_repeat for task in suite.tasks)
        about = About(spaces.observation_space, spaces.action_space, names, facts)
        self._writer = HistoriesWriter(directory.histories, about, steps=frames // per_step)

    def add(self, trajectory: Trajectory) -> None:
        """One unroll: of every column the transitions that begin in its T first observations."""

        def of_columns(x: Tensor) -> Tensor:
            return x.transpose(0, 1).cpu()

        inputs = trajectory.inputs[:-1]
        columns = {f"{OBSERVATION}{name}": of_columns(x) for name, x in inputs.observations.items()}
        columns |= {"action": of_columns(trajectory.actions), "reward": of_columns(trajectory.rewards)}
        columns |= {"is_first": of_columns(inputs.is_first), "valid": of_columns(trajectory.valid)}
        columns |= {"terminated": of_columns(trajectory.terminated), "truncated": of_columns(trajectory.truncated)}
        self._writer.append({name: x.numpy() for name, x in columns.items()})

    def flush(self) -> None:
        """Bring to the disk what waits in memory."""
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def recorded(updates: Iterable[Update], recorder: Recorder) -> Generator[Update]:
    """The updates, each recorded before it is passed on, and the histories flushed before a checkpoint is written: so a resumed
    run finds all steps before its checkpoint in the file."""
    try:
        for update in updates:
            assert update.trajectory is not None
            recorder.add(update.trajectory)
            if update.snapshot:
                recorder.flush()
            yield update
    finally:
        recorder.close()
