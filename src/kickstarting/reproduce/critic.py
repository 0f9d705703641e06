"""Does an untrained critic spoil what a teacher taught, and do a critic warm-up or the teachers' values help? Distillation for a
fifth of the frames, then rewards alone. (Uchendu et al. 2023 saw policies forgotten.)"""

from kickstarting.reproduce.lab import Lab

BASELINE = "scratch"


def sweep(lab: Lab) -> None:
    experts = lab.experts()
    first = {"teachers": experts, "schedule": "step:1:0:20%"}
    lab.students("scratch")
    lab.students("experts", teachers=experts)
    lab.students("distillation, then rewards", policy_cost="step:0:1:20%", **first)
    lab.students("untrained critic", policy_cost="step:0:1:20%", baseline_cost="step:0:0.5:20%", **first)
    lab.students("critic warm-up", policy_cost="step:0:1:25%", baseline_cost="step:0:0.5:20%", **first)
    lab.students(
        "values distilled too",
        policy_cost="step:0:1:20%",
        value_distillation_cost=0.5,
        **first,
    )
