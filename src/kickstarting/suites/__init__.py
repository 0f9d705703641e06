"""Suites are data: tasks with random and reference scores, one small TOML file each; a user's own is passed by path."""

from kickstarting.suites.suite import Suite, Task, builtin_suites, load_suite

__all__ = ["Suite", "Task", "builtin_suites", "load_suite"]
