"""Can one task be learned from two teachers? A good and a poor one, alone and together. (A reader's question.)"""

from kickstarting.reproduce.lab import Lab

BASELINE = "scratch on one task"


def sweep(lab: Lab) -> None:
    task = "door_key" if "door_key" in lab.scale.tasks else lab.scale.tasks[0]
    good = lab.expert(task)
    poor = lab.expert(task, total_frames=lab.scale.expert_frames // 4, name=f"poor expert {task}")
    one = {"tasks": (task,)}
    lab.students(BASELINE, **one)
    lab.students("good teacher", teachers=(good,), **one)
    lab.students("poor teacher", teachers=(poor,), **one)
    lab.students("both teachers", teachers=(good, poor), teacher_shares=(0.5, 0.5), **one)
