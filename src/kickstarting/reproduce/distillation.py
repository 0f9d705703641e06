"""Is kickstarting more than distillation, and does each expert need a weight of its own? Constant, shared and separate evolved
lambda, distillation alone, and distillation first. (Schmitt et al. 2018, figure 5.)"""

from kickstarting.reproduce.lab import Lab

BASELINE = "scratch"


def sweep(lab: Lab) -> None:
    experts = lab.experts()
    lab.students("scratch")
    lab.students("experts", teachers=experts)
    lab.students("experts, constant lambda", teachers=experts, schedule="constant:1")
    alone = {"teachers": experts, "schedule": "constant:1", "policy_cost": "0"}
    lab.students("distillation of experts", **alone)
    lab.students("distillation where the experts act", **alone, teacher_acts="1")
    lab.students("DAgger", **alone, teacher_acts="linear:1:0:20%")
    lab.students("distillation, then rewards", teachers=experts, schedule="step:1:0:20%", policy_cost="step:0:1:20%")
    lab.populations("experts, shared lambda evolved", teachers=experts)
    lab.populations("experts, each lambda evolved", teachers=experts, pbt={"rho_range": "0.05:1:1"})
