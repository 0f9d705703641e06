"""The sequence model: acting step by step gives what one pass gives, and the future is not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting.ad.context import Window, context_of, empty_context
from kickstarting.ad.model import PAPER, ModelConfig, SequenceModel
from kickstarting.algo.distributions import Categorical, DiagonalGaussian, Distribution
from kickstarting.spaces import Pixels, Vector
from kickstarting.types import Inputs

SMALL = ModelConfig(width=16, heads=2, layers=2, feedforward=16)
CONFIGS = {
    "small": SMALL,
    "three tokens": replace(SMALL, tokens=3),
    "rotary": replace(SMALL, positions="rotary"),
    "sinusoidal, post": replace(SMALL, positions="sinusoidal", norm="post"),
    "lstm": replace(SMALL, core="lstm"),
}
CELLS = spaces.Dict({"observation": spaces.MultiDiscrete([9, 9])})


def model_of(config: ModelConfig, context: int, space: spaces.Dict = CELLS, distribution: Distribution | None = None):
    torch.manual_seed(0)
    model = SequenceModel(space, distribution or Categorical(5), config, context)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def inputs_of(batch: int, steps: int, episode: int, seed: int = 0) -> Inputs:
    rng = torch.Generator().manual_seed(seed)
    cells = torch.randint(9, (batch, steps, 2), generator=rng)
    first = (torch.arange(steps) % episode == 0).expand(batch, -1).clone()
    return Inputs({"observation": cells}, torch.randint(5, (batch, steps), generator=rng), torch.rand(batch, steps), first)


@pytest.mark.parametrize("name", CONFIGS)
def test_step_by_step_gives_what_one_pass_gives(name):
    model, inputs = model_of(CONFIGS[name], 8), inputs_of(3, 8, 4)
    memory = context_of(model, 4, empty_context(model, 3))
    steps = torch.stack([memory.read(inputs[:, t : t + 1])[:, 0] for t in range(8)], 1)
    torch.testing.assert_close(steps, model(inputs), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "lstm"])
def test_a_full_context_drops_its_oldest_episode(name):
    model, inputs = model_of(CONFIGS[name], 8), inputs_of(3, 14, 4)
    memory = context_of(model, 4, empty_context(model, 3))
    for t in range(14):
        logits = memory.read(inputs[:, t : t + 1])[:, 0]
        begin = max(0, (t // 4 - 1) * 4)
        torch.testing.assert_close(logits, model(inputs[:, begin : t + 1])[:, -1], atol=1e-5, rtol=1e-4)


def test_an_observation_is_looked_at_once(monkeypatch):
    """Also when what is left of a full context is computed anew: to look at a picture costs more than all else."""
    model, inputs = model_of(SMALL, 8), inputs_of(3, 14, 4)
    looked, look = [], model.encoder.forward
    monkeypatch.setattr(model.encoder, "forward", lambda x: looked.append(x.is_first.numel()) or look(x))
    memory = context_of(model, 4, empty_context(model, 3))
    for t in range(14):
        memory.read(inputs[:, t : t + 1])
    assert sum(looked) == inputs.is_first.numel()


def test_rows_may_have_episodes_of_different_lengths():
    model, inputs = model_of(SMALL, 6), inputs_of(2, 12, 3)
    inputs.is_first[1] = torch.arange(12) % 5 == 0
    memory = Window(model, 2, Window.empty(model, 2))
    both = torch.stack([memory.read(inputs[:, t : t + 1])[:, 0] for t in range(12)])[-1]
    for row, begin in ((0, 6), (1, 10)):  # what is left begins with an episode
        alone = model(inputs[row : row + 1, begin:])[:, -1]
        kept = int(memory.lengths[row])
        assert kept == 12 - begin
        torch.testing.assert_close(both[row : row + 1], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
def test_steps_that_are_read_together_give_what_they_give_one_by_one(name):
    """Over several full contexts, and in rows whose episodes have different lengths."""
    model, inputs = model_of(CONFIGS[name], 8), inputs_of(3, 40, 3)
    inputs.is_first[1] = torch.arange(40) % 5 == 0
    inputs.is_first[2] = False
    one, many = (context_of(model, 4, empty_context(model, 3)) for _ in range(2))
    steps = torch.cat([one.read(inputs[:, t : t + 1]) for t in range(40)], 1)
    together = torch.cat([many.read(inputs[:, :17]), many.read(inputs[:, 17:])], 1)
    torch.testing.assert_close(together, steps, atol=1e-5, rtol=1e-4)
    assert all(len(x) == 3 for x in many.state)


def test_where_no_episode_begins_the_oldest_steps_go():
    model, inputs = model_of(SMALL, 6), inputs_of(1, 9, 100)
    memory = Window(model, 2, Window.empty(model, 1))
    for t in range(9):
        memory.read(inputs[:, t : t + 1])
    assert memory.lengths.tolist() == [5]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_future_is_not_seen(name):
    model, inputs = model_of(CONFIGS[name], 8), inputs_of(2, 8, 4)
    before = model(inputs)
    inputs.observations["observation"][:, 5:] = 0
    inputs.last_rewards[:, 5:] = 7.0
    after = model(inputs)
    torch.testing.assert_close(after[:, :5], before[:, :5])
    assert (after[:, 5] != before[:, 5]).any()


def test_every_parameter_is_trained():
    for config in CONFIGS.values():
        model = model_of(config, 8).train()
        model(inputs_of(2, 8, 4)).square().sum().backward()
        without = [name for name, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
        assert not without


def test_pictures_vectors_and_continuous_actions():
    space = spaces.Dict({"image": Pixels(0, 255, (64, 64, 3), np.uint8), "speed": Vector(-1, 1, (3,), np.float32)})
    model = model_of(SMALL, 4, space, DiagonalGaussian(2))
    seen = {"image": torch.randint(255, (2, 4, 64, 64, 3), dtype=torch.uint8), "speed": torch.randn(2, 4, 3)}
    first = torch.zeros(2, 4, dtype=torch.bool)
    inputs = Inputs(seen, torch.randn(2, 4, 2), torch.zeros(2, 4), first)
    memory = context_of(model, 2, empty_context(model, 2))
    steps = torch.stack([memory.read(inputs[:, t : t + 1])[:, 0] for t in range(4)], 1)
    torch.testing.assert_close(steps, model(inputs), atol=1e-4, rtol=1e-3)


def test_hidden_steps_change_what_is_learned_only():
    model, inputs = model_of(replace(SMALL, mask=0.9), 8), inputs_of(1, 8, 4)
    torch.testing.assert_close(model(inputs), model(inputs))
    model.train()
    assert (model(inputs) != model(inputs)).any()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (replace(SMALL, heads=3), "cannot be split into 3 heads"),
        (replace(SMALL, tokens=2), "1 token, or 3"),
        (replace(SMALL, width=18, heads=6, positions="rotary"), "even width"),
    ],
)
def test_what_cannot_work_is_told(config, said):
    with pytest.raises(ValueError, match=said):
        config.check()
    PAPER.check()
