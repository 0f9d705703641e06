"""Training: what is learned, exact resuming, and clear refusals."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kickstarting.ad.collect import CollectConfig, collect
from kickstarting.ad.evaluation import evaluate_in_context
from kickstarting.ad.model import ModelConfig
from kickstarting.ad.saved import TrainConfig, drawn, load_model, read_model_file
from kickstarting.ad.slices import Slices
from kickstarting.ad.tasks import FAMILIES
from kickstarting.ad.tasks.arena import Arena
from kickstarting.ad.training import build, loss_of, prepare, rate_at, resume_model, train_model, updates
from kickstarting.runs.checkpoint import latest_checkpoint, load_checkpoint
from kickstarting.runs.files import FileError
from kickstarting.runs.layout import HISTORIES, RunDirectory
from kickstarting.runs.signals import Stopped

TINY = ModelConfig(width=16, heads=1, layers=1, feedforward=16)
QUICK = TrainConfig(episodes=2, updates=70, batch=4, threads=1, model=replace(TINY, dropout=0.2, mask=0.2))


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(latest_checkpoint(out), with_optimiser=False).network


def test_a_stopped_training_goes_on_exactly(histories, tmp_path, signals_heard):
    train_model(QUICK, histories, whole := tmp_path / "whole")
    out = tmp_path / "stopped"
    with pytest.raises(Stopped) as stopped:
        train_model(QUICK, histories, out, lambda step, line: os.kill(os.getpid(), signal.SIGTERM) if step == 50 else None)
    assert f"kickstart ad train --resume {out}" in str(stopped.value)
    metrics = RunDirectory(out).metrics
    metrics.write_text(metrics.read_text() + '{"frames": 100, "loss": 1.0}\n{"frames": 1')  # what a kill after it leaves
    resume_model(out)
    expected, found = weights(whole), weights(out)
    assert all(torch.equal(found[name], x) for name, x in expected.items())
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [line["frames"] for line in lines] == [50, 70]
    assert RunDirectory(out).finished
    with pytest.raises(ValueError, match="is finished"):
        resume_model(out)


def test_the_loss_is_the_mean_over_what_is_to_be_predicted(histories):
    config = replace(QUICK, model=TINY)
    slices, about, config = prepare(config, histories / HISTORIES)
    model, _ = build(config, about)
    batch = slices.sample(np.random.default_rng(0), 3, config.context, config.skip, 1.0)
    loss, right = loss_of(model, batch, 0.0)
    log_policy = model(batch.inputs).log_softmax(-1)
    picked = log_policy.gather(-1, batch.actions[..., None])[..., 0][batch.weights > 0]
    assert loss.item() == pytest.approx(-picked.mean().item(), rel=1e-5)
    chosen = (model(batch.inputs).argmax(-1) == batch.actions)[batch.weights > 0]
    assert right.item() == pytest.approx(chosen.float().mean().item())
    smooth, _ = loss_of(model, batch, 0.2)
    spread = 0.8 * -picked + 0.2 * -log_policy.mean(-1)[batch.weights > 0]
    assert smooth.item() == pytest.approx(spread.mean().item(), rel=1e-4)


def test_the_loss_falls(histories):
    config = replace(QUICK, model=TINY, updates=40, batch=16)
    slices, about, config = prepare(config, histories / HISTORIES)
    model, optimiser = build(config, about)
    losses = [line["loss"] for line in updates(config, about, slices, model, optimiser, 0)]
    assert losses[0] is not None
    assert losses[-1] is not None
    assert losses[-1] < losses[0] - 0.2


def test_the_rate_rises_and_falls():
    rates = [rate_at(TrainConfig(updates=100, learning_rate=1.0), step) for step in range(100)]
    assert rates.index(max(rates)) in (4, 5)
    assert rates[0] == pytest.approx(0.2)
    assert rates[-1] == pytest.approx(0.01, abs=0.001)


def test_what_does_not_fit_is_told_before_work(histories, tmp_path, model):
    cases = [
        (replace(QUICK, context=10_000), "the longest has 8"),
        (replace(QUICK, learning_rate=-1.0), "learning_rate"),
        (replace(QUICK, batch=0), "batch"),
    ]
    for i, (config, said) in enumerate(cases):
        with pytest.raises(ValueError, match=said):
            train_model(config, histories, tmp_path / str(i))
        assert not (tmp_path / str(i)).exists()
    with pytest.raises(FileError, match="there are no histories"):
        train_model(QUICK, tmp_path, tmp_path / "out")
    with pytest.raises(ValueError, match="in use already"):
        train_model(QUICK, histories, model)


def test_other_histories_are_not_resumed_with(histories, tmp_path, signals_heard):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / HISTORIES).write_bytes((histories / HISTORIES).read_bytes())
    with pytest.raises(Stopped):
        train_model(QUICK, mine, tmp_path / "out", lambda step, line: os.kill(os.getpid(), signal.SIGTERM))
    (mine / HISTORIES).write_bytes((histories / HISTORIES).read_bytes() + b"\0")
    with pytest.raises(ValueError, match="this model began with"):
        resume_model(tmp_path / "out")


def test_an_altered_or_foreign_configuration_is_told(model, tmp_path):
    data = json.loads(RunDirectory(model).config.read_text())
    out = tmp_path / "altered"
    out.mkdir()
    RunDirectory(out).config.write_text(json.dumps({**data, "kind": "other"}))
    with pytest.raises(FileError, match="altered"):
        read_model_file(out)
    with pytest.raises(FileError, match="no model at"):
        read_model_file(tmp_path)


def test_expert_distillation_sees_the_end_only(histories):
    slices, _, _ = prepare(replace(QUICK, last=2, model=TINY), histories / HISTORIES)
    assert isinstance(slices, Slices)
    assert slices.shortest == 2


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_learned_and_acted_in(name, tmp_path):
    """Numbers, nothing at all, and pictures."""
    collect(CollectConfig(name, "noise", histories=3, episodes=3), tmp_path / "h")
    config = TrainConfig(episodes=2, skip=(1,), updates=1, batch=2, threads=1, terminal=name != "bandit", model=TINY)
    train_model(config, tmp_path / "h", tmp_path / "m")
    family = FAMILIES[name]
    outcome = evaluate_in_context(load_model(tmp_path / "m"), family, family.split(0).test[:2], episodes=3, seed=0)
    assert outcome.returns.shape == (2, 3)


def test_a_picture_is_drawn_and_read_once_and_teaches_as_if_it_stood_everywhere(tmp_path):
    collect(CollectConfig("arena", "noise", histories=4, episodes=3), tmp_path / "arena")
    config = TrainConfig(episodes=2, batch=4, threads=1, model=TINY)
    slices, about, config = prepare(config, tmp_path / "arena" / HISTORIES)
    batch = slices.sample(np.random.default_rng(0), 4, config.context, config.skip, 0.5)
    places = batch.inputs.observations["observation"]
    pictures = drawn(about, batch.inputs.observations)["observation"]
    assert len(pictures.entries) == len(np.unique(places.reshape(-1, 2), axis=0)) < places[..., 0].numel()
    everywhere = torch.from_numpy(Arena().view(places.numpy()))
    assert torch.equal(pictures.entries[pictures.which], everywhere)
    found = []
    for seen in (pictures, everywhere):
        model, _ = build(config, about)
        loss, _ = loss_of(model, replace(batch, inputs=replace(batch.inputs, observations={"observation": seen})), 0.0)
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in model.parameters())])
    for once, each in zip(*found, strict=True):
        torch.testing.assert_close(once, each, rtol=1e-3, atol=1e-5)
