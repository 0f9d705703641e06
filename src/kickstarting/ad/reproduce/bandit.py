"""Does a model of UCB's histories still learn where the distribution of the tasks has changed? In training odd arms pay best in
95 % of the bandits, in the test even arms do. (Laskin et al. 2022, figure 3.)"""

from dataclasses import replace

from kickstarting.ad.plan import Plan
from kickstarting.ad.recipes import BANDIT, BANDIT_SHOWN, BANDIT_TRAINING


def arms(plan: Plan) -> None:
    for panel, part in (("odd arms pay best, as in training", "validation"), ("even arms pay best", "test")):
        shown = replace(BANDIT_SHOWN, part=part)
        plan.arm("in context", BANDIT, BANDIT_TRAINING, shown, panel=panel, baselines=True)
        expert = replace(BANDIT, source="expert")
        plan.arm("expert distillation", expert, BANDIT_TRAINING, shown, panel=panel)
