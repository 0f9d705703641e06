"""Vector environments: one protocol, one adapter file per library, and the suite's tasks side by side."""

from kickstarting.envs.backends import BACKENDS, make_task_env
from kickstarting.envs.joint import TaskSpaces
from kickstarting.envs.multitask import MultiTaskEnv, describe
from kickstarting.envs.protocol import EnvironmentFault, TimeStep, VectorEnv, is_success
from kickstarting.envs.watch import TIMEOUT

__all__ = [
    "BACKENDS",
    "EnvironmentFault",
    "MultiTaskEnv",
    "TIMEOUT",
    "TaskSpaces",
    "TimeStep",
    "VectorEnv",
    "describe",
    "is_success",
    "make_task_env",
]
