"""Teachers: what each would have done on the student's unrolls, or does in its place. One adapter file per origin."""

from kickstarting.teachers.act import ActingTeachers
from kickstarting.teachers.label import Teacher, Teachers, build_teachers, check_spaces
from kickstarting.teachers.native import Policy, find_checkpoint, load_policy, load_weights, zoo_names

__all__ = [
    "ActingTeachers",
    "Policy",
    "Teacher",
    "Teachers",
    "build_teachers",
    "check_spaces",
    "find_checkpoint",
    "load_policy",
    "load_weights",
    "zoo_names",
]
