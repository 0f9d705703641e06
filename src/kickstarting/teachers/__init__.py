"""Teachers: what each would have done on the student's unrolls, or does in its place. One file for each origin."""

from kickstarting.teachers.act import ActingTeachers
from kickstarting.teachers.adapters import adapt
from kickstarting.teachers.batching import Assignment
from kickstarting.teachers.build import build_teachers, pinned
from kickstarting.teachers.label import Teachers
from kickstarting.teachers.network import AsNetwork, NetworkTeacher
from kickstarting.teachers.origins import load_teacher
from kickstarting.teachers.protocol import Kind, Label, Teacher
from kickstarting.teachers.references import Reference, parse_reference

__all__ = [
    "ActingTeachers",
    "AsNetwork",
    "Assignment",
    "Kind",
    "Label",
    "NetworkTeacher",
    "Reference",
    "Teacher",
    "Teachers",
    "adapt",
    "build_teachers",
    "load_teacher",
    "parse_reference",
    "pinned",
]
