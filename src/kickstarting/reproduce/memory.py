"""Can a teacher show a student what to remember? The teachers say which action, never what to store.
(Schmitt et al. 2018, figure 7.)"""

from kickstarting.reproduce.lab import Lab

BASELINE = "scratch on memory tasks"
TASKS = ("memory_7", "memory_9")


def sweep(lab: Lab) -> None:
    lab.students(BASELINE, tasks=TASKS)
    lab.students("kickstarted on memory tasks", tasks=TASKS, teachers=lab.experts(TASKS))
    lab.students("kickstarted without an LSTM", tasks=TASKS, teachers=lab.experts(TASKS), network_options=("lstm=0",))
