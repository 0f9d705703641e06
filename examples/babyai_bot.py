"""A bot as a teacher: BabyAI's own expert, asked at every step what it would do now, whatever the student did before.

    python examples/babyai_bot.py

or from the command line:

    kickstart train examples/babyai_bot.toml --teacher 'observation:expert?actions=7' --frames 200k

The bot needs the environment itself, so its advice is an observation that the environment gives (`options = {expert = "babyai"}`
in the suite's file), and the teacher reads it off the student's trajectory. Where the bot has none, the label has no weight.
"""

from __future__ import annotations

from pathlib import Path

from kickstarting import Config, train


def main(total_frames: int = 20_000) -> None:
    config = Config.of(
        str(Path(__file__).with_suffix(".toml")),
        network="small",
        teachers=("observation:expert?actions=7",),  # MiniGrid's seven; the observation has an eighth number for no advice
        schedule="constant:1",
        total_frames=total_frames,
        envs_per_task=4,
        torch_threads=1,
    )
    for update in train(config):
        followed, known = update.metrics["distillation_loss"], update.metrics["teacher_known/observation:expert?actions=7"]
        print(
            f"{update.frames} frames: cross-entropy to the bot {followed:.2f}, which had advice on {known:.0%} of the steps",
            flush=True,
        )


if __name__ == "__main__":
    main()
