"""A trained model as a teacher: its context is its state, over unrolls and episodes, and begins anew at a checkpoint."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from kickstarting import Config, train
from kickstarting.ad.demo import SHIPPED
from kickstarting.ad.model import ModelConfig
from kickstarting.ad.player import Player
from kickstarting.ad.saved import load_model
from kickstarting.envs import MultiTaskEnv
from kickstarting.runs.checkpoint import Snapshot
from kickstarting.suites import load_suite
from kickstarting.teachers import load_teacher
from kickstarting.teachers.adapters.numbers import scale
from kickstarting.teachers.adapters.transform import behind
from kickstarting.teachers.origins import digest
from kickstarting.teachers.protocol import across_episodes
from kickstarting.types import Inputs

SUITE = "gymnasium-vector:kickstarting.ad.tasks:DarkRoom-v0"


def unroll_of(steps: int) -> tuple[Inputs, np.ndarray]:
    """Of two rooms, by random actions, with the cells that were seen."""
    rng, seen = np.random.default_rng(0), []
    env = MultiTaskEnv(load_suite(SUITE).tasks, 2, seed=0)
    step, actions, rewards = env.reset(), np.full(2, -1), np.zeros(2, np.float32)
    for _ in range(steps):
        first = step.is_first
        last = np.where(first, -1, actions), np.where(first, 0.0, rewards).astype(np.float32)
        seen.append(({name: x.copy() for name, x in step.observations.items()}, *last, first.copy()))
        actions = rng.integers(5, size=2)
        step = env.step(actions)
        rewards = step.rewards.copy()
    env.close()
    observations = {name: torch.from_numpy(np.stack([x[0][name] for x in seen])) for name in seen[0][0]}
    last_actions, last_rewards, first = (torch.from_numpy(np.stack([x[i] for x in seen])) for i in (1, 2, 3))
    cells = np.stack([observations["observation"][..., part].argmax(-1).numpy() for part in (slice(9), slice(9, 18))], -1)
    return Inputs(observations, last_actions, last_rewards, first), cells


def test_it_says_of_an_unroll_what_a_player_says_step_by_step(model):
    """Also where several episodes have passed, so that the context was full and was cut."""
    teacher, trained = load_teacher(f"ad:{model}"), load_model(model)
    inputs, cells = unroll_of(100)
    player = Player(trained.network, 2, room=trained.room, terminal=True, seed=0, choice="sample")
    expected = []
    for t in range(100):
        player.see(inputs.last_rewards[t].numpy(), inputs.last_actions[t].numpy())
        expected.append(player.look({"observation": cells[t].astype(np.uint8)}, inputs.is_first[t].numpy()))
    state, parts = teacher.initial_state(2), []
    for begin in range(0, 100, 25):
        label, state = teacher.label(inputs[begin : begin + 25], state)
        parts.append(label.policy)
        assert label.values is None
    torch.testing.assert_close(torch.cat(parts), torch.stack(expected), atol=1e-5, rtol=1e-4)


def test_it_stays_float32_in_a_process_that_multiplies_bfloat16(model):
    teacher, (inputs, _) = load_teacher(f"ad:{model}"), unroll_of(42)
    expected, _ = teacher.label(inputs, teacher.initial_state(2))
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = teacher.label(inputs, teacher.initial_state(2))
    assert torch.equal(found.policy, expected.policy)


def test_its_context_goes_on_where_an_episode_begins_and_the_state_that_went_in_stays(model):
    teacher = load_teacher(str(model))  # recognised by what lies there
    inputs, _ = unroll_of(42)
    assert inputs.is_first[21].all()
    fresh = teacher.initial_state(2)
    before = [x.clone() for x in fresh]
    whole, _ = teacher.label(inputs, fresh)
    assert all(torch.equal(a, b) for a, b in zip(before, fresh, strict=True))
    second, _ = teacher.label(inputs[21:], fresh)
    assert (whole.policy[21:] - second.policy).abs().max() > 1e-4
    again, _ = teacher.label(inputs, fresh)
    assert torch.equal(again.policy, whole.policy)


def test_it_remembers_across_episodes_behind_adapters_too(model):
    teacher = load_teacher(f"ad:{model}")
    assert across_episodes(teacher)
    assert across_episodes(behind(teacher, [scale(1)], teacher.observation_space))
    assert across_episodes(load_teacher(f"ensemble:ad:{model},ad:{model}"))


def test_options_digest_and_what_cannot_be(model, make_model, tmp_path):
    short = load_teacher(f"ad:{model}?context=21")
    assert short.initial_state(2)[1].shape == (2, 21)
    assert digest(f"ad:{model}") != digest(f"ad:{model}?context=21")
    assert digest(f"ad:{model}") == digest(str(model))
    with pytest.raises(ValueError, match="was trained with 42 steps"):
        load_teacher(f"ad:{model}?context=43")
    with pytest.raises(ValueError, match="context is 'many'"):
        load_teacher(f"ad:{model}?context=many")
    with pytest.raises(ValueError, match="no model at"):
        load_teacher(f"ad:{tmp_path}")
    with pytest.raises(ValueError, match="trained with --no-terminal"):
        load_teacher(f"ad:{make_model(terminal=False)}")


def test_an_lstm_teaches_as_well(make_model):
    tiny = ModelConfig(core="lstm", width=16, heads=1, layers=1)
    teacher = load_teacher(f"ad:{make_model(model=tiny)}")
    inputs, _ = unroll_of(30)
    whole, _ = teacher.label(inputs, teacher.initial_state(2))
    first, state = teacher.label(inputs[:13], teacher.initial_state(2))
    rest, _ = teacher.label(inputs[13:], state)
    torch.testing.assert_close(torch.cat([first.policy, rest.policy]), whole.policy, atol=1e-5, rtol=1e-4)


def test_a_resumed_run_equals_an_uninterrupted_one(model):
    """At a checkpoint contexts begin anew, in both."""
    settings = {"network": "small", "envs_per_task": 2, "unroll_length": 16, "torch_threads": 1, "checkpoint_every": "64"}
    config = Config.of(SUITE, **settings, teachers=(f"ad:{model}",), schedule="constant:1", total_frames=192)
    (middle, *_), last = stop_at_checkpoints(train(config))
    _, again = stop_at_checkpoints(train(config, middle))
    assert all(torch.equal(x, again.network[name]) for name, x in last.network.items())


def stop_at_checkpoints(updates) -> tuple[list[Snapshot], Snapshot]:
    """Copies of all snapshots, and the last."""
    found = []
    for update in updates:
        if kept := update.snapshot:
            own = {name: x.clone() for name, x in kept.network.items()}
            optimiser = {name: x.clone() for name, x in kept.optimiser.items()}
            found.append(Snapshot(kept.number, json.loads(json.dumps(kept.record)), own, optimiser))
    return found, found[-1]


def test_the_shipped_model_can_teach(kickstart, monkeypatch):
    """It is measured after the episodes that it takes to learn the room, and is not blamed for what it remembers."""
    monkeypatch.setattr("kickstarting.teachers.check.SETTLING", 15)
    said = kickstart("check", f"ad:{SHIPPED}", SUITE, "--episodes", 16)
    assert "can teach" in said
    assert "state_not_reset" not in said
