"""Does a student survive a teacher that knows nothing, among good ones and alone? With lambda by schedule, by progress and by
population based training. (A reader's question; figure 6 has one such expert.)"""

from kickstarting.reproduce.lab import Lab

BASELINE = "scratch on four tasks"
TASKS = ("door_key", "two_rooms", "go_to_object", "pick_up")


def sweep(lab: Lab) -> None:
    tasks, good = TASKS, lab.experts(TASKS)
    mixed = (f"{TASKS[0]}={lab.random_teacher()}", *good[1:])
    lab.students(BASELINE, tasks=tasks)
    lab.students("good experts", tasks=tasks, teachers=good)
    lab.students("one random, constant", tasks=tasks, teachers=mixed, schedule="constant:1")
    lab.students("one random, linear", tasks=tasks, teachers=mixed)
    lab.students("one random, progress", tasks=tasks, teachers=mixed, schedule="progress:1:40%")
    lab.populations("one random, PBT", tasks=tasks, teachers=mixed, pbt={"rho_range": "0.01:1"})
