"""How should lambda fall? Linear over 10, 20 and 40 % of the frames, constant, by progress, and by population based training.
(Schmitt et al. 2018, table 2 and figure 3.)"""

from kickstarting.reproduce.lab import Lab

BASELINE = "small from scratch"
NETWORK = "small"
"""Of the students too: 27 runs and three populations are compared, and what is asked does not depend on the size."""


def sweep(lab: Lab) -> None:
    taught = {"network": NETWORK, "teachers": (lab.teacher(NETWORK),)}
    lab.students(BASELINE, network=NETWORK)
    lab.populations("PBT", **taught)
    for start in (1, 2):
        for share in (10, 20, 40):
            lab.students(f"linear {start} to 0 over {share}%", schedule=f"linear:{start}:0:{share}%", **taught)
        lab.students(f"constant {start}", schedule=f"constant:{start}", **taught)
    lab.students("progress", schedule="progress:1:40%", **taught)
