"""The learner: owns the network and the optimiser, and takes gradient steps on trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import torch
from torch import nn

from kickstarting.algo.distributions import Distribution, is_continuous
from kickstarting.algo.losses import Costs, LossConfig, clip_rewards, kickstarting_loss, targets_of
from kickstarting.algo.scale import Scales
from kickstarting.algo.vtrace import VTraceReturns
from kickstarting.machine import run_network
from kickstarting.networks.normaliser import Normaliser
from kickstarting.optimisers import load_optimiser, make_optimiser, optimiser_tensors, set_rate
from kickstarting.ranges import COUNT, Choice, Range
from kickstarting.ranks import ALONE, Ranks, weighted_mean
from kickstarting.types import Output, Trajectory

FASTEST_CHANGE, LEAST_RATE_FACTOR = 1.5, 1e-3
"""Of what desired_kl leaves of the learning rate: from one update to the next, and at all."""


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class LearnerConfig:
    """How the student learns. What may change during training is an argument of `Learner.step` instead."""

    optimiser: Annotated[str, Choice("adam", "rmsprop")] = "adam"
    """adam, or rmsprop as TensorFlow computes it."""
    epsilon: Annotated[float | None, Range(1e-15, 1000)] = None
    """Epsilon of the optimiser; 1e-5 for adam and 0.1 for rmsprop unless given."""
    beta2: Annotated[float, Range(0, 1, high_open=True)] = 0.99
    """Of adam, the decay of its mean square. A gradient that is suddenly large moves a weight by at most 0.1 / sqrt(1 - this)
    learning rates: by 1 at 0.99, by 3 at 0.999."""
    base_width: Annotated[int | None, Range(0, 10**6)] = None
    """A weight of more inputs than this learns more slowly: at base width / inputs of the learning rate, as in muP, so that a rate
    means the same in networks of any width. 0 is for none. Unless given 128 in runs that observe a grid, and 0 elsewhere."""
    epochs: Annotated[int | None, COUNT] = None
    """Passes over each unroll. Unless given 2 with discrete actions, 8 with continuous ones."""
    minibatches: Annotated[int | None, COUNT] = None
    """Gradient steps of each pass, at most envs-per-task: each step takes its share of every task's columns. V-trace corrects
    for the policy's movement between steps. Unless given 4 with discrete actions, 8 with continuous ones."""
    normalise_returns: bool = True
    """Measure each task's rewards in units of its own returns, so that all tasks learn alike, whatever the size of rewards."""
    normalise_advantages: bool = True
    """Divide advantages by their running root mean square, so that entropy cost and lambda mean the same everywhere."""
    max_grad_norm: Annotated[float, Range(0, 1e30, low_open=True)] = 0.5
    """Clip the gradient's global norm to this, 1e9 never; the loss is a mean over transitions."""
    desired_kl: Annotated[float | None, Range(0, 1e9)] = None
    """How far an update may move the policy, in nats: KL(mu || pi) from the policy that acted, in the update's last pass. Beyond it
    the learning rate falls below its schedule, and rises again to it as the policy moves less. By as many nats as the policy
    comes closer to its teachers it may move farther. 0 leaves the rate to the schedule. Unless given 0 with discrete actions,
    0.03 with continuous ones."""
    loss: LossConfig = field(default_factory=LossConfig)

    def usual(self, distribution: Distribution) -> LearnerConfig:
        """With what is usual of such actions where nothing is given."""
        missing = [name for name in STEPS if getattr(self, name) is None]
        return replace(self, **{name: STEPS[name][is_continuous(distribution)] for name in missing})


STEPS: dict[str, tuple[Any, Any]] = {"epochs": (2, 8), "minibatches": (4, 8), "desired_kl": (0.0, 0.03)}
"""What is usual of discrete and of continuous actions (decision 36)."""

PAPER = LearnerConfig(
    epochs=1,
    minibatches=1,
    desired_kl=0.0,
    normalise_returns=False,
    normalise_advantages=False,
    max_grad_norm=1.0,
    epsilon=1e-8,
    beta2=0.999,
    base_width=0,
    loss=LossConfig(policy_clip=0.0, vtrace_lambda=1.0),
)
"""One step on each unroll with the plain V-trace loss, as in the paper and in version 0.1 of this package."""


@dataclass(frozen=True)
class Hyperparameters(Costs):
    """What schedules and population based training may change at every step (with lambda, which labels carry)."""

    learning_rate: float = 3e-3


class Learner:
    """Network (an `nn.Module` that is also a `Network`) + optimiser. `step` is the only thing that changes them."""

    def __init__(
        self,
        network: Any,
        distribution: Distribution,
        config: LearnerConfig,
        device: str = "cpu",
        tasks: int = 1,
    ) -> None:
        self.network = network.to(device)
        self.device = device
        self.distribution = distribution
        self.config = config = config.usual(distribution)
        self.learner_steps = 0
        normalise = {"normalise_returns": config.normalise_returns, "normalise_advantages": config.normalise_advantages}
        self._rate_factor = torch.ones(())  # what desired_kl leaves of the learning rate
        self.scales = Scales(tasks, **normalise)
        self._ranks: Ranks = ALONE
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        self._normalisers = [module for module in network.modules() if isinstance(module, Normaliser)]
        self.optimiser = make_optimiser(config.optimiser, self._parameters, config.epsilon, config.beta2, config.base_width or 0)

    def join(self, ranks: Ranks) -> None:
        """Step together with other learners, each on its own columns, as one learner on all of them would: what is a mean over
        valid transitions is one over those of all ranks."""
        self._ranks = self.scales.ranks = ranks

    def learn(self, trajectory: Trajectory, hyperparameters: Hyperparameters) -> dict[str, torch.Tensor]:
        """A step on each minibatch of a trajectory: every n-th column, so that each has all tasks; all of it again in every
        epoch. Returns the mean of their metrics.

        Normalisers of observations take it in afterwards, since the policy that acted is the one that learns; those that know
        nothing yet take in the first one before.
        """
        new, old = ([x for x in self._normalisers if bool(x.count) == known] for known in (False, True))
        self._normalise(trajectory, new)
        n = self.config.minibatches or 1
        parts = [trajectory.columns(slice(i, None, n)) for i in range(n)]
        steps = [self.step(part, hyperparameters) for _ in range(self.config.epochs or 1) for part in parts]
        self._normalise(trajectory, old)
        means = {name: _mean(steps, name) for name in steps[0]}
        if desired := self.config.desired_kl:
            means["learning_rate_factor"] = self._rate_factor
            self._rate_factor = self._next_rate_factor(steps[:n], steps[-n:], desired)
        return means

    def _next_rate_factor(
        self, first: Sequence[dict[str, torch.Tensor]], last: Sequence[dict[str, torch.Tensor]], desired: float
    ) -> torch.Tensor:
        """first, last: the passes of an update. A divergence goes with the square of the steps that made it, so its root says how
        much longer or shorter they may be. What the student came closer to its teachers, in nats, it was meant to move: a way
        straight towards them gains at least as much as it diverges."""
        kl = _mean(last, "approx_kl")
        if "distillation_loss" in first[0]:
            kl = kl - (_mean(first, "distillation_loss") - _mean(last, "distillation_loss")).clamp(min=0)
        change = (desired / kl.cpu().clamp(min=1e-9)).sqrt().clamp(1 / FASTEST_CHANGE, FASTEST_CHANGE)
        return (self._rate_factor * change).clamp(LEAST_RATE_FACTOR, 1.0)

    def _normalise(self, trajectory: Trajectory, normalisers: Sequence[Normaliser]) -> None:
        for normaliser in normalisers:
            normaliser.update(trajectory.inputs.observations[normaliser.reads][:-1], trajectory.valid, self._ranks)

    def step(self, trajectory: Trajectory, hyperparameters: Hyperparameters) -> dict[str, torch.Tensor]:
        """One gradient step on one (labelled) trajectory; returns the terms of the loss, detached.

        Raises TrainingError if the loss or the gradient is not finite, and leaves the weights as they were.
        """
        config = self.config
        output, _ = run_network(self.network, trajectory.inputs, trajectory.initial_state)
        targets, advantage_scale = self._targets(output, trajectory)
        loss, metrics = kickstarting_loss(
            output, trajectory, self.distribution, config.loss, hyperparameters, targets, advantage_scale
        )
        metrics |= {"loss": loss.detach()}
        for parameter in self._parameters:
            parameter.grad = None
        loss.backward()
        if self._ranks.size > 1:
            metrics = self._averaged(metrics, trajectory.valid.sum())
        norm = nn.utils.clip_grad_norm_(self._parameters, config.max_grad_norm)
        if not torch.isfinite(norm):
            terms = ", ".join(f"{name} {value.item():.3g}" for name, value in metrics.items())
            raise TrainingError(
                f"the gradient is not finite at learner step {self.learner_steps} ({terms}); lower the learning rate "
                f"(now {hyperparameters.learning_rate:g}) or the rewards' scale, and resume from the last checkpoint"
            )
        set_rate(self.optimiser, hyperparameters.learning_rate * float(self._rate_factor))
        self.optimiser.step()
        self.learner_steps += 1
        clipped = (norm.detach() > config.max_grad_norm).float()
        return metrics | {"grad_norm": norm.detach(), "grad_clipped": clipped}

    def _averaged(self, metrics: dict[str, torch.Tensor], transitions: torch.Tensor) -> dict[str, torch.Tensor]:
        """Gradients and metrics of all ranks, by their numbers of valid transitions."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        means = weighted_mean(self._ranks, [*gradients, *metrics.values()], transitions.float())
        for parameter, mean in zip(self._parameters, means, strict=False):
            parameter.grad = mean
        return dict(zip(metrics, means[len(gradients) :], strict=True))

    @torch.no_grad()
    def _targets(self, output: Output, trajectory: Trajectory) -> tuple[VTraceReturns, torch.Tensor]:
        """V-trace's targets in the units that the scales say, and what to divide the advantages by."""
        valid, tasks = trajectory.valid, trajectory.tasks
        if tasks is None:
            tasks = torch.zeros(valid.shape[1], dtype=torch.int64, device=valid.device)
        units = self.scales.rewards(clip_rewards(trajectory.rewards, self.config.loss.reward_clip), valid, tasks)
        targets = targets_of(output, trajectory, self.distribution, self.config.loss, units)
        return targets, self.scales.advantages(targets.vs, targets.advantages, valid, tasks)

    def optimiser_tensors(self) -> dict[str, torch.Tensor]:
        """The optimiser's state as named tensors, the learner's own."""
        own = optimiser_tensors(self.optimiser)
        scales = {f"scales.{name}": value for name, value in self.scales.tensors().items()}
        return own | scales | ({"rate_factor": self._rate_factor} if self.config.desired_kl else {})

    def load_optimiser_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        tensors = dict(tensors)
        self._rate_factor = tensors.pop("rate_factor", torch.ones(())).clone()
        self.scales.load({key.removeprefix("scales."): value for key, value in tensors.items() if key.startswith("scales.")})
        load_optimiser(self.optimiser, {key: value for key, value in tensors.items() if not key.startswith("scales.")})


def _mean(steps: Sequence[dict[str, torch.Tensor]], name: str) -> torch.Tensor:
    return torch.stack([metrics[name] for metrics in steps]).mean()
