"""Parts of other learners that this package does not have, each put into its learner, so that they can be measured beside it.

    python experiments/robust/ablations.py quantile-clip train grid-8 --frames 500k --seed 0 --out runs/ablations/quantile-clip-0
    python experiments/robust/ablations.py none train grid-8 --frames 500k --seed 0 --out runs/ablations/none-0

What stands behind the name is a command of `kickstart`. Other ablations are options of the command line (see README.md). Such runs
cannot be resumed, and their checkpoints are not read by others.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kickstarting import learner as learning
from kickstarting.algo import losses
from kickstarting.cli import main
from kickstarting.networks.heads import Head
from kickstarting.types import Output, Trajectory

Learner = learning.Learner
QUANTILE, NORMS = 0.1, 1000
"""AutoClip (Seetharaman et al. 2020, arXiv:2007.14469): the tenth percentile of the gradient's norms, here of the last thousand."""
TARGET = (0.6, 0.1)
"""Of the entropy, as a share of a uniform policy's, at the beginning and at the end of the run."""
RATE = 0.003
"""Of the entropy cost's logarithm, for each nat that the entropy is away from its target."""
BINS, EDGE = 63, 4.0
"""Of a two-hot critic, in units of returns; symmetric, and as dense at 0 as a symlog would have them."""


def quantile_clip() -> None:
    """The gradient is clipped at a low quantile of its own norms."""
    norms: deque[float] = deque(maxlen=NORMS)
    clip = nn.utils.clip_grad_norm_

    def clipped(parameters: Any, limit: float) -> Tensor:
        parameters = list(parameters)
        norm = float(nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))
        norms.append(norm)
        return clip(parameters, float(np.quantile(norms, QUANTILE)) if np.isfinite(norm) else limit)

    nn.utils.clip_grad_norm_ = clipped


def entropy_target() -> None:
    """The entropy cost rises and falls, so that the entropy follows a line (as SAC does for alpha, with a target that falls)."""
    step, state = Learner.step, {"log_cost": float(np.log(0.01))}

    def stepped(self: Any, trajectory: Trajectory, hyperparameters: Any) -> dict[str, Tensor]:
        done = 1.0 - (hyperparameters.learning_rate - 3e-4) / 2.7e-3  # of the run, read off the default rate
        cost = float(np.exp(state["log_cost"]))
        metrics = step(self, trajectory, learning.Hyperparameters(**{**vars(hyperparameters), "entropy_cost": cost}))
        target = (TARGET[0] + (TARGET[1] - TARGET[0]) * done) * float(np.log(self.distribution.size))
        state["log_cost"] += RATE * (target + float(metrics["entropy_loss"]))
        state["log_cost"] = float(np.clip(state["log_cost"], np.log(1e-5), np.log(0.1)))
        return metrics

    Learner.step = stepped  # type: ignore[method-assign]


def wide_value(size: Callable[[int], int], read: Callable[[Tensor, Trajectory, Any], Tensor]) -> list[Tensor]:
    """The critic has size(tasks) outputs, of which `read` makes a value. Returns where the last outputs are found."""
    begin, step, run, seen = Learner.__init__, Learner.step, learning.run_network, list[Tensor]()
    current: dict[str, Any] = {}

    def began(self: Any, network: Any, distribution: Any, config: Any, device: str = "cpu", tasks: int = 1) -> None:
        old, network.value = network.value, Head(network.value.in_features, size(tasks))
        nn.init.orthogonal_(network.value.weight, float(old.weight.norm()))
        nn.init.zeros_(network.value.bias)
        begin(self, network, distribution, config, device, tasks)

    def stepped(self: Any, trajectory: Trajectory, hyperparameters: Any) -> dict[str, Tensor]:
        current.update(learner=self, trajectory=trajectory)
        return step(self, trajectory, hyperparameters)

    def ran(network: Any, inputs: Any, state: Any) -> tuple[Output, Any]:
        hook = network.value.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
        seen.clear()
        output, state = run(network, inputs, state)
        hook.remove()
        return Output(output.logits, read(seen[0], current["trajectory"], current["learner"])), state

    Learner.__init__, Learner.step = began, stepped  # type: ignore[method-assign]
    learning.run_network = ran
    return seen


def popart() -> None:
    """An output of the critic for each task, moved as its task's unit moves, so that what it says in points stays (Hessel et al.
    2019, arXiv:1809.04474; there is no mean here, only the unit that this package has)."""

    def of_task(outputs: Tensor, trajectory: Trajectory, _learner: Any) -> Tensor:
        assert trajectory.tasks is not None
        return outputs.gather(-1, trajectory.tasks[None, :, None].expand(len(outputs), -1, 1))[..., 0]

    wide_value(lambda tasks: tasks, of_task)
    step, before = Learner.step, dict[str, Tensor]()

    def stepped(self: Any, trajectory: Trajectory, hyperparameters: Any) -> dict[str, Tensor]:
        units = self.scales.units()
        with torch.no_grad():
            ratio = before.get("units", units) / units
            self.network.value.weight.mul_(ratio[:, None])
            self.network.value.bias.mul_(ratio)
        before["units"] = units
        return step(self, trajectory, hyperparameters)

    Learner.step = stepped  # type: ignore[method-assign]


def two_hot() -> None:
    """The critic is a softmax over returns, and learns by cross-entropy (Hafner et al. 2023, arXiv:2301.04104)."""
    line = torch.linspace(-1, 1, BINS)
    bins = line.sign() * (torch.expm1(line.abs() * float(np.log1p(EDGE))))
    seen = wide_value(lambda _tasks: BINS, lambda outputs, _trajectory, _learner: outputs.softmax(-1) @ bins)

    def baseline(values: Tensor, vs: Tensor, valid: Tensor) -> Tensor:
        vs = vs.detach().clamp(-EDGE, EDGE)
        above = torch.searchsorted(bins, vs.contiguous()).clamp(1, BINS - 1)
        low, high = bins[above - 1], bins[above]
        share = ((vs - low) / (high - low)).clamp(0, 1)
        log_probs = F.log_softmax(seen[0][:-1], -1)
        said = [log_probs.gather(-1, index[..., None])[..., 0] for index in (above - 1, above)]
        return losses.masked_mean(-(1 - share) * said[0] - share * said[1], valid)

    losses.baseline_loss = baseline


ABLATIONS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "quantile-clip": quantile_clip,
    "entropy-target": entropy_target,
    "popart": popart,
    "two-hot": two_hot,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ABLATIONS:
        raise SystemExit(f"name one of {', '.join(ABLATIONS)}, and a command of kickstart behind it")
    ABLATIONS[sys.argv.pop(1)]()
    main()
