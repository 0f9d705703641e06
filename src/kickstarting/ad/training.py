"""Training the sequence model on histories: a directory with configuration, metrics, checkpoints, that resumes exactly."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import gymnasium
import numpy as np
import torch
import tyro
from gymnasium import spaces
from torch import Tensor

from kickstarting.ad.model import PAPER, ModelConfig, SequenceModel
from kickstarting.ad.slices import Slice, Slices
from kickstarting.ad.tasks import Drawn, Family, find_family
from kickstarting.machine import resolve_device, resolve_precision, use_machine
from kickstarting.ranges import COUNT, SEED, THREADS, Choice, Range, check_fields
from kickstarting.runs.checkpoint import Snapshot, load_checkpoint, load_weights, save_checkpoint
from kickstarting.runs.files import FileError, digest_of, file_digest, read_json, typed, write_json, write_signed
from kickstarting.runs.histories import About, read_histories
from kickstarting.runs.layout import HISTORIES, RunDirectory
from kickstarting.runs.ownership import check_free, written_by_us
from kickstarting.runs.saving import MINUTES
from kickstarting.runs.signals import Stop, Stopped, listening
from kickstarting.runs.writer import MetricsWriter
from kickstarting.spaces import Pixels, describe_space, make_distribution

FORMAT = 1
KIND = "algorithm distillation"
LOG_EVERY = 50


@dataclass(frozen=True)
class TrainConfig:
    """How the model is trained."""

    context: Annotated[int, Range(0, 10**5)] = 0
    """Steps that the model looks back on; --episodes of the longest length unless given."""
    episodes: Annotated[int, Range(1, 10**4)] = 6
    """Episodes of a slice."""
    skip: Annotated[tuple[int, ...], COUNT] = ()
    """Distances between the episodes of a slice, of which each slice draws one; chosen from the source's curve unless given."""
    last: Annotated[int, Range(0, 10**6)] = 0
    """Learn from that many episodes at the end of each history only, as expert distillation does."""
    terminal: bool = True
    """The last observation of an episode is a step of its own, without an action."""
    updates: Annotated[int, COUNT] = 2000
    batch: Annotated[int, COUNT] = 64
    learning_rate: Annotated[float, Range(0, 1, low_open=True)] = 3e-3
    """Its peak: it rises over the first twentieth, and falls as a cosine."""
    weight_decay: Annotated[float, Range(0, 1)] = 1e-4
    max_grad_norm: Annotated[float, Range(0, 10**6, low_open=True)] = 1.0
    smoothing: Annotated[float, Range(0, 1, high_open=True)] = 0.0
    """Share of the label that is spread over all actions."""
    from_start: Annotated[float, Range(0, 1)] = 0.5
    """Share of the slices that begin where a history begins, as a context does in evaluation."""
    precision: Annotated[str, Choice("float32", "auto", "bfloat16")] = "float32"
    """bfloat16 is slower than float32 for models of this size on CPUs."""
    device: Annotated[str, Choice("auto", "cpu", "cuda")] = "auto"
    threads: Annotated[int, THREADS] = 0
    """Of torch; all cores unless given."""
    seed: Annotated[int, SEED] = 0
    model: tyro.conf.OmitArgPrefixes[ModelConfig] = field(default_factory=ModelConfig)

    def check(self) -> None:
        """Raise ValueError, with the remedy, for what cannot work."""
        check_fields(self)
        self.model.check()


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
        began = {
            "kind": KIND,
            "format": FORMAT,
            "config": asdict(config),
            "histories": {"path": str(source.resolve()), "sha256": file_digest(source), "facts": dict(about.facts)},
            "observation_space": {name: describe_space(space) for name, space in model_space(about).items()},
            "action_space": describe_space(about.action_space),
        }
        write_signed(RunDirectory(out).config, {"id": digest_of(began)[:16], **began})
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


def as_in_the_paper(config: TrainConfig) -> TrainConfig:
    """With the model, batch and rate of Laskin et al., appendix L. Raises ValueError if a model was chosen beside it."""
    if config.model != ModelConfig():
        raise ValueError("--paper chooses the model; leave out --paper, or the options of the model")
    return replace(config, model=PAPER, batch=128, learning_rate=3e-4)


def resume_command(out: Path) -> str:
    return f"kickstart ad train --resume {out}"


def prepare(config: TrainConfig, source: Path) -> tuple[Slices, About, TrainConfig]:
    """Read the histories; the configuration with what is chosen by them written out."""
    use_machine(config.threads, resolve_precision(config.precision, resolve_device(config.device)), resolve_device(config.device))
    histories = read_histories(source)
    slices = Slices(histories, make_distribution(histories.about.action_space), terminal=config.terminal, last=config.last)
    context = config.context or config.episodes * int(slices.lengths.max())
    config = replace(config, context=context, skip=config.skip or slices.skips(max(1, round(context / slices.lengths.max()))))
    slices.check_context(config.context, config.skip)
    return slices, histories.about, config


def shown_space(family: Family) -> gymnasium.Space:
    """What a model sees of a family: pictures where it draws them."""
    return Pixels(0, 255, family.picture, np.uint8) if isinstance(family, Drawn) else family.space


def model_space(about: About) -> spaces.Dict:
    """What the model reads of histories."""
    name = about.facts.get("family")
    return spaces.Dict({"observation": shown_space(find_family(name))}) if name else about.observation_space


def drawn(about: About, observations: dict[str, Tensor]) -> dict[str, Tensor]:
    """Observations of histories, as the model reads them."""
    name = about.facts.get("family")
    if name and isinstance(family := find_family(name), Drawn):
        return {"observation": torch.from_numpy(family.view(observations["observation"].numpy()))}
    return observations


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
    start = 0
    if snapshot:
        load_weights(model, snapshot, f"checkpoint {snapshot.number}")
        start = int(snapshot.record["updates"])
        _load_optimiser(optimiser, snapshot.optimiser)
    writer = MetricsWriter(out, frames=start)
    saved_at, seconds, began = time.monotonic(), 0.0 if not snapshot else float(snapshot.record["seconds"]), time.perf_counter()
    kept: list[dict[str, float | None]] = []

    def save(step: int) -> None:
        record = {"updates": step, "frames": step, "seconds": seconds + time.perf_counter() - began}
        save_checkpoint(directory.checkpoints, Snapshot(step, record, dict(model.state_dict()), _tensors(optimiser)), run=run)

    try:
        with stop.at_a_good_moment():
            for step, metrics in enumerate(updates(config, about, slices, model, optimiser, start), start=start + 1):
                kept.append(metrics)
                if step % LOG_EVERY == 0 or step == config.updates:
                    line = {name: float(np.mean([m[name] for m in kept])) for name in metrics}  # type: ignore[arg-type]
                    line["seconds"] = seconds + time.perf_counter() - began
                    writer.write(step, dict(line))
                    kept = []
                    if progress:
                        progress(step, line)
                if step == config.updates or time.monotonic() - saved_at > 60 * MINUTES or stop.number is not None:
                    save(step)
                    saved_at = time.monotonic()
                    if stop.number is not None and step < config.updates:
                        raise Stopped(stop.number, f"saved after {step} updates", resume_command(out))
        write_json(directory.end, {"updates": config.updates, "seconds": seconds + time.perf_counter() - began})
    finally:
        writer.close()


def _tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimiser.state_dict()["state"]
    return {f"{i}.{name}": x for i, entry in state.items() for name, x in entry.items()}


def _load_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, x in tensors.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = x
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def read_model_file(out: Path) -> dict[str, Any]:
    """The config.json of a model. Raises FileError if there is none, or it is of something else, or was altered."""
    path = RunDirectory(out).config
    if not path.is_file():
        raise FileError(f"no model at {out}: there is no {path.name}; train one with `kickstart ad train`")
    data = read_json(path, remedy="restore the file, or train the model again", signed=True)
    if data.get("kind") != KIND or data.get("format") != FORMAT:
        raise FileError(f"{out} holds no model of this version for algorithm distillation; give the --out of `kickstart ad train`")
    return data


def config_from_json(data: Mapping[str, Any]) -> TrainConfig:
    """The inverse of `asdict`. Raises ValueError if it does not fit."""
    try:
        values = {**data, "skip": tuple(typed(x, int, "skip") for x in data["skip"]), "model": ModelConfig(**data["model"])}
        config = TrainConfig(**values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no configuration of a model that this version reads: {error}") from error
    config.check()
    return config
