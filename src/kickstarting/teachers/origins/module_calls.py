"""How a user's module is asked, and what its answer means.

What is called, the first that it has:

    get_action_and_value(x, action=a)   CleanRL: what its `actor` gave on the way are the logits; with `actor_mean` and
                                        `actor_logstd`, means and log standard deviations; with neither, log-probabilities of each
                                        discrete action. The fourth that it returns are the values. With an `lstm` it is called as
                                        (x, lstm_state, done, action=a), and the fifth is the state
    forward(x), policy(x)               logits or a distribution; integers or continuous actions as they are; two of equal shape are
                                        means and log standard deviations, before the tanh if it has an `action_scale`; a last
                                        tensor with one number for each row are values
    act(x)                              the same, mostly actions

x: [N, ...] float32 as the environment gave it, images in its own layout and not divided; a dict of such for Dict observations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium
import torch
from gymnasium import spaces
from torch import Tensor, nn

from kickstarting.algo.distributions import IMPOSSIBLE
from kickstarting.algo.moments import parameters, squashed_gaussian
from kickstarting.spaces import make_distribution
from kickstarting.teachers.origins.foreign import OBSERVATION, AsTheirs, Units, reads
from kickstarting.teachers.protocol import Kind, Label
from kickstarting.types import Inputs, State

METHODS = ("get_action_and_value", "forward", "policy", "act")


class ModuleTeacher:
    """A user's module as a teacher. Recurrent ones are asked for whole unrolls, with `is_first` as `done`."""

    def __init__(
        self,
        module: nn.Module,
        observation_space: gymnasium.Space,
        action_space: gymnasium.Space,
        ref: str,
        *,
        method: str = "",
        temperature: float = 1.0,
        std: float = 0.1,
    ) -> None:
        """Raises ValueError if the module has none of METHODS, or acts in a space that has no policy."""
        self._module, self.ref = module, ref
        self.device = next((p.device.type for p in module.parameters()), "cpu")
        self.observation_space, self._is_dict = reads(observation_space), isinstance(observation_space, spaces.Dict)
        self._as_theirs, self._temperature, self._std = AsTheirs(observation_space), temperature, std
        self._units = Units(action_space) if isinstance(action_space, spaces.Box) else None
        self.action_space = self._units.space if self._units else action_space
        self._size = make_distribution(self.action_space).size
        self._method = _method_of(module, method, ref)
        core = getattr(module, "lstm", None)
        self._core = core if self._method == METHODS[0] and isinstance(core, nn.LSTM | nn.GRU) else None

    def initial_state(self, batch: int) -> State:
        if self._core is None:
            return ()
        zeros = torch.zeros(batch, self._core.num_layers, self._core.hidden_size, device=self.device)
        return (zeros, zeros) if isinstance(self._core, nn.LSTM) else (zeros,)

    @torch.no_grad()
    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        """Raises ValueError if the module says what cannot be read as a label."""
        leading = inputs.is_first.shape
        x: Any = self._as_theirs({name: part.flatten(0, 1) for name, part in inputs.observations.items()})
        x = x if self._is_dict else x[OBSERVATION]
        if self._method == METHODS[0]:
            answer, values, state = self._acting(x, inputs.is_first, state)
        else:
            answer, values = _parts(getattr(self._module, self._method)(x))
        label = self._read(answer, len(inputs.is_first.flatten()))
        values = None if values is None else values.float().reshape(leading)
        return label._replace(policy=label.policy.unflatten(0, leading), values=values), state

    def _acting(self, x: Any, is_first: Tensor, state: State) -> tuple[Any, Tensor | None, State]:
        """By CleanRL's method, of some action, so that it samples none."""
        heard: dict[str, Tensor] = {}
        hooks = [
            layer.register_forward_hook(lambda _, __, output, name=name: heard.update({name: output}))
            for name in ("actor", "actor_mean")
            if isinstance(layer := getattr(self._module, name, None), nn.Module)
        ]
        ask: Any = self._module.get_action_and_value
        shape, dtype = make_distribution(self.action_space).action_shape, make_distribution(self.action_space).action_dtype
        rest: tuple[Any, ...] = ()
        if self._core is not None:
            own = tuple(part.transpose(0, 1).contiguous() for part in state)
            rest = (own if isinstance(self._core, nn.LSTM) else own[0], is_first.flatten().float())
        try:
            some = torch.zeros(is_first.numel(), *shape, dtype=dtype, device=self.device)
            answer: list[Any] = list(ask(x, *rest, action=some))
            policy: Any = self._heard(heard) if heard else self._by_action(ask, x, rest, is_first.numel())
        finally:
            for hook in hooks:
                hook.remove()
        values = answer[3] if len(answer) > 3 else None
        if self._core is not None:
            after = answer[4] if isinstance(answer[4], tuple) else (answer[4],)
            state = tuple(part.transpose(0, 1).contiguous() for part in after)
        return policy, values, state

    def _heard(self, heard: dict[str, Tensor]) -> Any:
        if "actor_mean" in heard:
            mean, log_std = heard["actor_mean"], getattr(self._module, "actor_logstd", None)
            return mean if log_std is None else (mean, log_std.expand_as(mean))
        return heard["actor"]

    def _by_action(self, ask: Callable[..., Any], x: Any, rest: tuple[Any, ...], number: int) -> Tensor:
        if not isinstance(self.action_space, spaces.Discrete):
            raise ValueError(f"teacher {self.ref} has no actor and no actor_mean, so write &method=forward, or another")
        every = [torch.full((number,), action, device=self.device) for action in range(self._size)]
        return torch.stack([ask(x, *rest, action=action)[1] for action in every], -1)

    def _read(self, answer: Any, number: int) -> Label:
        """[number, ...]: what an answer says."""
        if isinstance(answer, torch.distributions.Independent):
            answer = answer.base_dist
        if isinstance(answer, torch.distributions.Normal):
            answer = answer.mean, answer.stddev.log()
        if isinstance(answer, torch.distributions.Categorical):
            answer = answer.logits
        if isinstance(answer, tuple) and self._units:
            mean, log_std = (self._checked(part, number, self._size // 2).double() for part in answer[:2])
            if hasattr(self._module, "action_scale"):  # CleanRL's SAC
                return Label(parameters(*squashed_gaussian(mean, log_std.exp())))
            return Label(self._units.normal(mean, log_std.exp()))
        if not isinstance(answer, Tensor):
            raise ValueError(f"teacher {self.ref} says {type(answer).__name__}, which is no tensor and no distribution")
        if self._units:
            mean = self._units.actions(self._checked(answer, number, self._size // 2))
            return Label(torch.cat([mean, torch.full_like(mean, math.log(self._std))], -1))
        if not answer.is_floating_point():
            return Label(answer.reshape(number, *(self.action_space.shape or ())).long(), Kind.ACTIONS)
        return Label((self._checked(answer, number, self._size).float() / self._temperature).clamp(min=IMPOSSIBLE))

    def _checked(self, x: Tensor, number: int, width: int) -> Tensor:
        if x.shape != (number, width):
            said, wanted = tuple(x.shape), (number, width)
            raise ValueError(f"teacher {self.ref} says a tensor {said} of {number} observations; it must be {wanted}")
        if not x.isfinite().all():
            raise ValueError(f"teacher {self.ref} says numbers that are not finite")
        return x


def _method_of(module: nn.Module, method: str, ref: str) -> str:
    has = [name for name in METHODS if callable(getattr(module, name, None)) and not _unwritten(module, name)]
    if method and method not in has:
        raise ValueError(f"teacher {ref} has no method {method!r}; of {', '.join(METHODS)} it has {', '.join(has) or 'none'}")
    if not has:
        raise ValueError(f"teacher {ref} has none of {', '.join(METHODS)}; write one of them, or a function around it (script:)")
    return method or has[0]


def _unwritten(module: nn.Module, name: str) -> bool:
    """torch gives every module a `forward` that only raises."""
    return name == "forward" and getattr(type(module).forward, "__name__", "") == "_forward_unimplemented"


def _parts(answer: Any) -> tuple[Any, Tensor | None]:
    """An answer without the values that may stand behind it."""
    if not (isinstance(answer, tuple) and len(answer) > 1 and isinstance(answer[-1], Tensor)):
        return answer, None
    *first, last = answer
    alike = isinstance(first[0], Tensor) and first[0].shape == last.shape
    if last.numel() != len(last) or (len(first) == 1 and alike):
        return answer, None
    return first[0] if len(first) == 1 else tuple(first), last
