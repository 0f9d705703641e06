"""A sparse task whose own expert has learned nothing: does the expert of its easier sibling carry the student over?
(Schmitt et al. 2018, figure 6.)"""

from kickstarting.reproduce.lab import Lab

BASELINE = "scratch on both"
EASY, HARD = "two_rooms", "multi_room"


def sweep(lab: Lab) -> None:
    tasks = (EASY, HARD)
    lab.students(BASELINE, tasks=tasks)
    lab.students("kickstarted by both experts", tasks=tasks, teachers=lab.experts(tasks))
    lab.students("the easy task's expert for both", tasks=tasks, teachers=(lab.expert(EASY),))
    lab.populations("both experts, each lambda evolved", tasks=tasks, teachers=lab.experts(tasks), pbt={"rho_range": "0.01:1"})
