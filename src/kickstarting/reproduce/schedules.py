"""How should lambda fall? By evidence (the default), linear over 10, 20 and 40 % of the frames, constant, by progress, and by
population based training. (Schmitt et al. 2018, table 2 and figure 3.)"""

from kickstarting.reproduce.lab import Lab

BASELINE = "scratch"
ALPHA_ALONE = {
    "alpha_range": "0.01:2",
    "learning_rate_range": "3e-4:4e-3",
    "entropy_cost_range": "3e-3:5e-2",
}
"""As in the paper: lambda and the learning rate move by evolution alone, from anywhere."""


def sweep(lab: Lab) -> None:
    teacher = (lab.teacher(),)
    lab.students(BASELINE)
    lab.students("kickstarted", teachers=teacher)
    lab.populations("kickstarted, PBT", teachers=teacher)
    lab.populations(
        "kickstarted, PBT of alpha alone", teachers=teacher, schedule="constant:1", learning_rate="1e-3", pbt=ALPHA_ALONE
    )
    for start in (1, 2):
        lab.students(f"constant {start}", teachers=teacher, schedule=f"constant:{start}")
        for share in (10, 20, 40):
            lab.students(f"linear {start} to 0 over {share}%", teachers=teacher, schedule=f"linear:{start}:0:{share}%")
    lab.students("progress", teachers=teacher, schedule="progress:1:40%")
