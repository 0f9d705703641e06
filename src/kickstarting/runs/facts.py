"""What a configuration says of a run that its metrics are judged by."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from kickstarting.algo.distributions import Categorical, MultiCategorical
from kickstarting.algo.losses import mask_logits
from kickstarting.config import Config
from kickstarting.envs import describe
from kickstarting.runs.configuration import read_teacher_scores
from kickstarting.runs.layout import RunDirectory
from kickstarting.runs.symptoms import Facts
from kickstarting.suites import load_suite


def facts_of(config: Config, out: Path) -> Facts:
    """What the metrics of this run are judged by."""
    suite = load_suite(config.suite)
    spaces = describe(suite.tasks, timeout=config.machine.environment_timeout)
    distribution, most = spaces.distribution, math.nan
    if isinstance(distribution, Categorical | MultiCategorical):  # one column stands for all of a task
        logits = mask_logits(torch.zeros(len(suite.tasks), distribution.size), spaces.action_mask(envs_per_task=1))
        most = float(distribution.entropy(logits).mean())
    return Facts(
        total_frames=config.total_frames,
        tasks=tuple(task.name for task in suite.tasks),
        points=all(task.random is not None and task.reference is not None for task in suite.tasks),
        most_entropy=most,
        max_grad_norm=config.learning.learner.max_grad_norm,
        schedule=config.teaching.schedule,
        teacher_scores={name: entry["tasks"] for name, entry in (read_teacher_scores(RunDirectory(out)) or {}).items()},
    )
