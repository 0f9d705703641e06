"""What does a model make of a demonstration in its context, of no use, of a half-trained policy, and of an expert? And what does
the same model make of it that was trained on experts' episodes? (Laskin et al. 2022, figure 5.)"""

from dataclasses import replace

from kickstarting.ad.plan import Plan
from kickstarting.ad.recipes import DARK_ROOM, DARK_ROOM_SHOWN, DARK_ROOM_TRAINING

PROMPTS = {
    "no prompt": ("", 0),
    "random actions": ("random", 0),
    "the source after 60 episodes": ("policy-gradient", 60),
    "the source after 120 episodes": ("policy-gradient", 120),
    "an expert": ("expert", 0),
}


def arms(plan: Plan) -> None:
    expert = replace(DARK_ROOM, source="expert", episodes=20)
    for name, (prompt, after) in PROMPTS.items():
        shown = replace(DARK_ROOM_SHOWN, prompt=prompt, prompt_after=after)
        plan.arm(name, DARK_ROOM, DARK_ROOM_TRAINING, shown, panel="of learning histories")
    for name, (prompt, after) in PROMPTS.items():
        shown = replace(DARK_ROOM_SHOWN, prompt=prompt, prompt_after=after)
        plan.arm(name, expert, replace(DARK_ROOM_TRAINING, skip=(1,)), shown, panel="of experts' episodes")
