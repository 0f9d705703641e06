"""Suites are data: tasks with random and reference scores, one small TOML file each; a user's own is passed by path."""

from kickstarting.suites.file import builtin_suites
from kickstarting.suites.suite import load_suite
from kickstarting.suites.task import Suite, Task

__all__ = ["Suite", "Task", "builtin_suites", "load_suite"]
