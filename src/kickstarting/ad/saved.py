"""What a trained model is, as files: its configuration, the spaces and facts of the histories that it learned from, its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import gymnasium
import numpy as np
import torch
import tyro
from gymnasium import spaces
from torch import Tensor

from kickstarting.ad import KIND
from kickstarting.ad.encoder import Repeated
from kickstarting.ad.model import PAPER, ModelConfig, SequenceModel
from kickstarting.ad.tasks import Drawn, Family, find_family
from kickstarting.ranges import COUNT, SEED, THREADS, Choice, Range, check_fields
from kickstarting.runs.checkpoint import latest_checkpoint, load_checkpoint, load_weights
from kickstarting.runs.files import FileError, digest_of, file_digest, read_json, typed, write_signed
from kickstarting.runs.histories import About
from kickstarting.runs.layout import STATE, RunDirectory
from kickstarting.space_json import describe_space, read_observations, read_space
from kickstarting.spaces import Pixels, make_distribution

FORMAT = 1


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


def as_in_the_paper(config: TrainConfig) -> TrainConfig:
    """With the model, batch and rate of Laskin et al., appendix L. Raises ValueError if a model was chosen beside it."""
    if config.model != ModelConfig():
        raise ValueError("--paper chooses the model; leave out --paper, or the options of the model")
    return replace(config, model=PAPER, batch=128, learning_rate=3e-4)


@dataclass(frozen=True)
class TrainedModel:
    """A frozen model, and what it was trained on."""

    network: SequenceModel
    config: TrainConfig
    action_space: gymnasium.Space
    facts: dict[str, Any]
    """Of the histories."""

    @property
    def family(self) -> str:
        """Empty for histories of a suite, or of several families."""
        return self.facts.get("family", "")

    @property
    def room(self) -> int:
        """Steps that a full context is freed of: an episode's, where all have one length."""
        return find_family(self.family).horizon + self.config.terminal if self.family else self.network.context // 4


def shown_space(family: Family) -> gymnasium.Space:
    """What a model sees of a family: pictures where it draws them."""
    return Pixels(0, 255, family.picture, np.uint8) if isinstance(family, Drawn) else family.space


def model_space(about: About) -> spaces.Dict:
    """What the model reads of histories."""
    name = about.facts.get("family")
    return spaces.Dict({"observation": shown_space(find_family(name))}) if name else about.observation_space


def drawn(about: About, observations: dict[str, Tensor]) -> dict[str, Any]:
    """Observations of histories, as the model reads them. Pictures are drawn once for each place."""
    name = about.facts.get("family")
    if name and isinstance(family := find_family(name), Drawn):
        kept = observations["observation"].numpy()
        places, which = np.unique(kept.reshape(-1, kept.shape[-1]), axis=0, return_inverse=True)
        return {"observation": Repeated(torch.from_numpy(family.view(places)), torch.from_numpy(which.reshape(kept.shape[:-1])))}
    return observations


def begin_model(out: Path, config: TrainConfig, about: About, source: Path) -> None:
    """Write the config.json of a model that is trained on the histories in the file `source`."""
    began = {
        "kind": KIND,
        "format": FORMAT,
        "config": asdict(config),
        "histories": {"path": str(source.resolve()), "sha256": file_digest(source), "facts": dict(about.facts)},
        "observation_space": {name: describe_space(space) for name, space in model_space(about).items()},
        "action_space": describe_space(about.action_space),
    }
    write_signed(RunDirectory(out).config, {"id": digest_of(began)[:16], **began})


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


def load_model(out: Path, context: int = 0) -> TrainedModel:
    """The model in a directory of `kickstart ad train`, or in a checkpoint with the config.json beside its files.

    context: steps that it looks back on, if fewer than it was trained with. Raises ValueError if there is none, it is damaged,
    or was trained with a shorter context.
    """
    data = read_model_file(out)
    config, action_space = config_from_json(data["config"]), read_space(data["action_space"])
    if context > config.context:
        raise ValueError(f"context is {context}; {out} was trained with {config.context} steps, so give at most these")
    observed = {
        name: read_space(part) if "multi_discrete" in part else read_observations({name: part})[name]
        for name, part in data["observation_space"].items()
    }
    network = SequenceModel(spaces.Dict(observed), make_distribution(action_space), config.model, config.context)
    checkpoint = out if (out / STATE).is_file() else latest_checkpoint(out)
    load_weights(network, load_checkpoint(checkpoint, with_optimiser=False, run=data["id"]), str(out))
    network.requires_grad_(False).eval()
    network.context = context or config.context
    return TrainedModel(network, config, action_space, data["histories"]["facts"])
