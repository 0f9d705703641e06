"""Training the sequence model on histories: a directory with configuration, metrics, checkpoints, that resumes exactly."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kickstarting.ad.model import SequenceModel
from kickstarting.ad.saved import TrainConfig, begin_model, config_from_json, drawn, model_space, read_model_file
from kickstarting.ad.slices import Slice, Slices
from kickstarting.machine import resolve_device, resolve_precision, use_machine
from kickstarting.optimisers import load_optimiser, optimiser_tensors
from kickstarting.runs.checkpoint import Snapshot, load_checkpoint, load_weights, save_checkpoint
from kickstarting.runs.files import file_digest, write_json
from kickstarting.runs.histories import About, read_histories
from kickstarting.runs.layout import HISTORIES, RunDirectory
from kickstarting.runs.ownership import check_free, written_by_us
from kickstarting.runs.saving import MINUTES
from kickstarting.runs.signals import Stop, Stopped, listening
from kickstarting.runs.writer import MetricsWriter
from kickstarting.spaces import make_distribution

LOG_EVERY = 50


def train_model(
    config: TrainConfig, histories: Path, out: Path, progress: Callable[[int, Mapping[str, float | None]], None] | None = None
) -> None:
    """Train into a new directory. progress: called with updates done and the last metrics.

    Raises ValueError before any work if anything does not fit; Stopped, when all is saved, if a signal asks for it.
    """
    config.check()
    check_free(out, "model", resume_command(out))
    with listening() as stop, written_by_us(out):
        source = histories / HISTORIES if histories.is_dir() else histories
        slices, about, config = prepare(config, source)
        begin_model(out, config, about, source)
        _consume(out, config, about, slices, None, stop, progress)


def resume_model(out: Path, progress: Callable[[int, Mapping[str, float | None]], None] | None = None) -> TrainConfig:
    """Go on with a model that was killed. Raises ValueError if it is finished, or its histories are not those it began with."""
    directory = RunDirectory(out)
    with listening() as stop, written_by_us(out):
        data = read_model_file(out)
        if directory.finished:
            raise ValueError(f"{out} is finished; there is nothing to resume")
        source, config = Path(data["histories"]["path"]), config_from_json(data["config"])
        if (now := file_digest(source)) != data["histories"]["sha256"]:
            raise ValueError(
                f"{source} has SHA-256 {now[:12]}..., this model began with {data['histories']['sha256'][:12]}...; put it back"
            )
        slices, about, config = prepare(config, source)
        newest = directory.newest_checkpoint
        snapshot = load_checkpoint(newest, run=data["id"]) if newest else None
        _consume(out, config, about, slices, snapshot, stop, progress)
        return config


def resume_command(out: Path) -> str:
    """What goes on with a training that was stopped."""
    return f"kickstart ad train --resume {shlex.quote(str(out))}"


def prepare(config: TrainConfig, source: Path) -> tuple[Slices, About, TrainConfig]:
    """Read the histories; the configuration with what is chosen by them written out."""
    use_machine(config.threads, resolve_precision(config.precision, resolve_device(config.device)), resolve_device(config.device))
    histories = read_histories(source)
    slices = Slices(histories, make_distribution(histories.about.action_space), terminal=config.terminal, last=config.last)
    context = config.context or config.episodes * int(slices.lengths.max())
    config = replace(config, context=context, skip=config.skip or slices.skips(max(1, round(context / slices.lengths.max()))))
    slices.check_context(config.context, config.skip)
    return slices, histories.about, config


def loss_of(model: SequenceModel, batch: Slice, smoothing: float) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of the predicted actions, and the share of those that are predicted right (discrete actions)."""
    logits = model(batch.inputs).float()
    labels = model.distribution.of_actions(batch.actions, smoothing)
    total = batch.weights.sum().clamp(min=1)
    loss = (model.distribution.cross_entropy(labels, logits) * batch.weights).sum() / total
    right = model.distribution.mode(logits) == batch.actions
    right = right if right.ndim == batch.weights.ndim else right.all(-1)
    return loss, (right * batch.weights).sum() / total


def updates(
    config: TrainConfig, about: About, slices: Slices, model: SequenceModel, optimiser: torch.optim.Optimizer, start: int
) -> Iterator[dict[str, float | None]]:
    """One gradient step after the other, each with its metrics. What is drawn by lot depends on seed and step alone."""
    device, low = resolve_device(config.device), config.precision
    model.train()
    for step in range(start, config.updates):
        rng = np.random.default_rng([config.seed, step])
        torch.manual_seed(int(rng.integers(2**31)))
        batch = slices.sample(rng, config.batch, config.context, config.skip, config.from_start)
        inputs = replace(batch.inputs, observations=drawn(about, batch.inputs.observations))
        batch = Slice(inputs.map(lambda x: x.to(device)), batch.actions.to(device), batch.weights.to(device))
        for group in optimiser.param_groups:
            group["lr"] = rate_at(config, step)
        with torch.autocast(device, torch.bfloat16, enabled=resolve_precision(low, device) == "bfloat16"):
            loss, right = loss_of(model, batch, config.smoothing)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        if not torch.isfinite(norm):
            raise ValueError(
                f"the loss is not finite after {step} updates; give a lower --learning-rate than {config.learning_rate:g}"
            )
        optimiser.step()
        yield {"loss": loss.item(), "accuracy": right.item(), "grad_norm": norm.item(), "learning_rate": rate_at(config, step)}


def rate_at(config: TrainConfig, step: int) -> float:
    """The learning rate of a step."""
    warm = max(1, config.updates // 20)
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, config.updates - warm))))


def build(config: TrainConfig, about: About) -> tuple[SequenceModel, torch.optim.AdamW]:
    """The model at its start, the same for the same seed, and its optimiser."""
    torch.manual_seed(config.seed)
    model = SequenceModel(model_space(about), make_distribution(about.action_space), config.model, config.context)
    model.to(resolve_device(config.device))
    return model, torch.optim.AdamW(model.parameters(), config.learning_rate, (0.9, 0.99), weight_decay=config.weight_decay)


def _consume(
    out: Path,
    config: TrainConfig,
    about: About,
    slices: Slices,
    snapshot: Snapshot | None,
    stop: Stop,
    progress: Callable[[int, Mapping[str, float | None]], None] | None,
) -> None:
    directory, run = RunDirectory(out), read_model_file(out)["id"]
    model, optimiser = build(config, about)
    start, spent, spent_cpu = 0, 0.0, 0.0
    if snapshot:
        load_weights(model, snapshot, f"checkpoint {snapshot.number}")
        start, spent = int(snapshot.record["updates"]), float(snapshot.record["seconds"])
        spent_cpu = float(snapshot.record.get("cpu_seconds", 0.0))
        load_optimiser(optimiser, snapshot.optimiser)
    writer = MetricsWriter(out, frames=start)
    saved_at, began, began_cpu = time.monotonic(), time.perf_counter() - spent, time.process_time() - spent_cpu
    kept: list[dict[str, float | None]] = []

    def save(step: int) -> None:
        taken = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - began_cpu}
        state = Snapshot(step, {"updates": step, "frames": step, **taken}, dict(model.state_dict()), optimiser_tensors(optimiser))
        save_checkpoint(directory.checkpoints, state, run=run)

    try:
        with stop.at_a_good_moment():
            for step, metrics in enumerate(updates(config, about, slices, model, optimiser, start), start=start + 1):
                kept.append(metrics)
                if step % LOG_EVERY == 0 or step == config.updates:
                    line = {name: float(np.mean([m[name] for m in kept])) for name in metrics}  # type: ignore[arg-type]
                    line["seconds"] = time.perf_counter() - began
                    writer.write(step, dict(line))
                    kept = []
                    if progress:
                        progress(step, line)
                if step == config.updates or time.monotonic() - saved_at > 60 * MINUTES or stop.number is not None:
                    save(step)
                    saved_at = time.monotonic()
                    if stop.number is not None and step < config.updates:
                        raise Stopped(stop.number, f"saved after {step} updates", resume_command(out))
        taken = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - began_cpu}
        write_json(directory.end, {"updates": config.updates, **taken})
    finally:
        writer.close()
