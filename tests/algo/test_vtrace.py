"""V-trace against the paper's sum of products, rlax, its limit cases, and the borders of episodes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kickstarting.algo.vtrace import VTraceReturns, accumulated, vtrace
from kickstarting.native.kernels import kernels

GOLDEN = json.loads((Path(__file__).parent / "vtrace_golden.json").read_text())["cases"]
EXACT: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-10}


def definition(
    *,
    log_rhos: np.ndarray,
    discounts: np.ndarray,
    rewards: np.ndarray,
    values: np.ndarray,
    bootstrap_value: np.ndarray,
    valid: np.ndarray,
    clip_rho_threshold: float | None = 1.0,
    clip_pg_rho_threshold: float | None = 1.0,
    lambda_: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Equation 1 of IMPALA as it is printed, on each run of valid transitions as if there were nothing else:

    v_s = V(x_s) + sum_{t=s}^{s+n-1} (prod_{i=s}^{t-1} gamma_i c_i) rho_t (r_t + gamma_t V(x_{t+1}) - V(x_t))
    """
    T, B = rewards.shape
    V = np.concatenate([values, bootstrap_value[None]])
    rho = np.minimum(math.inf if clip_rho_threshold is None else clip_rho_threshold, np.exp(log_rhos))
    rho_pg = np.minimum(math.inf if clip_pg_rho_threshold is None else clip_pg_rho_threshold, np.exp(log_rhos))
    c = lambda_ * np.minimum(1.0, np.exp(log_rhos))
    vs, advantages = V.copy(), np.zeros((T, B))
    for b in range(B):
        for s in reversed(range(T)):
            end = next((t for t in range(s, T) if not valid[t, b]), T)  # x_end is the last observation that s may see
            for t in range(s, end):
                product = math.prod(discounts[i, b] * c[i, b] for i in range(s, t))
                vs[s, b] += product * rho[t, b] * (rewards[t, b] + discounts[t, b] * V[t + 1, b] - V[t, b])
            if valid[s, b]:
                target = vs[s + 1, b] if s + 1 < end else V[end, b]
                advantages[s, b] = rho_pg[s, b] * (rewards[s, b] + discounts[s, b] * target - V[s, b])
    return vs[:-1], advantages


def example(T: int = 6, B: int = 3, seed: int = 0) -> dict[str, Any]:
    """Inputs with no end of an episode; discounts vary."""
    rng = np.random.default_rng(seed)
    return {
        "log_rhos": rng.normal(0.0, 1.0, (T, B)),
        "discounts": rng.uniform(0.5, 1.0, (T, B)),
        "rewards": rng.normal(0.0, 2.0, (T, B)),
        "values": rng.normal(0.0, 2.0, (T, B)),
        "bootstrap_value": rng.normal(0.0, 2.0, B),
        "valid": np.ones((T, B), bool),
    }


def ours(**inputs: Any) -> VTraceReturns:
    converted: dict[str, Any] = {name: torch.from_numpy(x) if isinstance(x, np.ndarray) else x for name, x in inputs.items()}
    return vtrace(**converted)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 3)))

    def floats(low: float, high: float, shape: tuple[int, ...] = shape) -> np.ndarray:
        return draw(arrays(np.float64, shape, elements=st.floats(low, high)))

    thresholds = st.floats(0.1, 5.0) | st.just(math.inf)
    rho, pg = draw(st.tuples(thresholds, thresholds).map(lambda x: (max(x), min(x))))
    terminated = draw(arrays(bool, shape))
    return {
        "log_rhos": floats(-6.0, 3.0),
        "discounts": floats(0.0, 1.0) * ~terminated,
        "rewards": floats(-5.0, 5.0),
        "values": floats(-5.0, 5.0),
        "bootstrap_value": floats(-5.0, 5.0, shape[1:]),
        "valid": draw(arrays(bool, shape)),
        "clip_rho_threshold": None if rho == math.inf else rho,
        "clip_pg_rho_threshold": None if pg == math.inf else pg,
        "lambda_": draw(st.floats(0.0, 1.0)),
    }


@given(cases())
@settings(deadline=None, max_examples=100)
def test_equals_the_sum_of_products(case: dict[str, Any]) -> None:
    vs, advantages = definition(**case)
    returns = ours(**case)
    np.testing.assert_allclose(returns.vs.numpy(), vs, **EXACT)
    np.testing.assert_allclose(returns.pg_advantages.numpy(), advantages, **EXACT)


@given(cases())
@settings(deadline=None, max_examples=50)
def test_a_value_function_without_td_errors_is_the_fixed_point(case: dict[str, Any]) -> None:
    following = np.concatenate([case["values"][1:], case["bootstrap_value"][None]])
    rewards = case["values"] - case["discounts"] * following
    returns = ours(**{**case, "rewards": rewards})
    np.testing.assert_allclose(returns.vs.numpy(), case["values"], **EXACT)
    np.testing.assert_allclose(returns.pg_advantages.numpy(), 0.0, atol=1e-10)


@given(cases(), st.data())
@settings(deadline=None, max_examples=50)
def test_columns_are_independent(case: dict[str, Any], data: st.DataObject) -> None:
    column = data.draw(st.integers(0, case["rewards"].shape[1] - 1))
    alone = {name: x[..., [column]] if isinstance(x, np.ndarray) else x for name, x in case.items()}
    np.testing.assert_allclose(ours(**case).vs[:, [column]].numpy(), ours(**alone).vs.numpy(), **EXACT)


@pytest.mark.parametrize("case", GOLDEN, ids=[f"lambda-{c['lambda_']}-clip-{c['clip_rho_threshold']}" for c in GOLDEN])
def test_equals_rlax(case: dict[str, Any]) -> None:
    """rlax returns v_s - V(x_s). Below lambda 1 its advantage bootstraps from lambda v_{s+1} + (1 - lambda) V(x_{s+1}),
    where IMPALA's equation, which we follow, has v_{s+1}; the two agree at lambda 1 only."""
    case = {name: np.array(x) if isinstance(x, list) else x for name, x in case.items()}
    errors, advantages = case.pop("errors"), case.pop("pg_advantages")
    returns = ours(**case, valid=np.ones(errors.shape, bool))
    np.testing.assert_allclose(returns.vs.numpy(), case["values"] + errors, **EXACT)
    if case["lambda_"] == 1.0:
        np.testing.assert_allclose(returns.pg_advantages.numpy(), advantages, **EXACT)


def test_on_policy_is_the_n_step_bellman_target() -> None:
    case = example() | {"log_rhos": np.zeros((6, 3)), "discounts": np.full((6, 3), 0.9)}
    powers = 0.9 ** np.arange(7)[:, None]
    rewards_and_last = np.concatenate([case["rewards"], case["bootstrap_value"][None]])
    n_step = np.stack([(powers[: 7 - s] * rewards_and_last[s:]).sum(0) for s in range(6)])
    returns = ours(**case)
    np.testing.assert_allclose(returns.vs.numpy(), n_step, **EXACT)
    np.testing.assert_allclose(returns.pg_advantages.numpy(), n_step - case["values"], **EXACT)


def test_lambda_0_is_one_step_td() -> None:
    case = example()
    following = np.concatenate([case["values"][1:], case["bootstrap_value"][None]])
    delta = case["rewards"] + case["discounts"] * following - case["values"]
    vs = ours(**case, lambda_=0.0).vs.numpy()
    np.testing.assert_allclose(vs, case["values"] + np.minimum(1.0, np.exp(case["log_rhos"])) * delta, **EXACT)


def test_discount_0_sees_one_reward() -> None:
    case = example() | {"discounts": np.zeros((6, 3))}
    advantages = np.minimum(1.0, np.exp(case["log_rhos"])) * (case["rewards"] - case["values"])
    returns = ours(**case)
    np.testing.assert_allclose(returns.pg_advantages.numpy(), advantages, **EXACT)
    np.testing.assert_allclose(returns.vs.numpy(), case["values"] + advantages, **EXACT)


def test_threshold_none_does_not_clip() -> None:
    case = example(T=1) | {"log_rhos": np.full((1, 3), 3.0)}
    delta = case["rewards"] + case["discounts"] * case["bootstrap_value"] - case["values"]
    free = ours(**case, clip_rho_threshold=None, clip_pg_rho_threshold=None)
    np.testing.assert_allclose(free.vs.numpy(), case["values"] + math.exp(3.0) * delta, **EXACT)
    np.testing.assert_allclose(free.pg_advantages.numpy(), math.exp(3.0) * delta, **EXACT)
    np.testing.assert_allclose(ours(**case).vs.numpy(), case["values"] + delta, **EXACT)


def test_an_action_that_the_policy_would_never_take_teaches_nothing() -> None:
    case = example()
    case["log_rhos"][2] = -math.inf
    returns = ours(**case)
    later = ours(**{**case, "rewards": case["rewards"] + (np.arange(6) > 2)[:, None]})
    assert torch.equal(returns.vs[2], torch.from_numpy(case["values"])[2])
    assert not returns.pg_advantages[2].any()
    assert torch.equal(returns.vs[:3], later.vs[:3])
    assert torch.isfinite(returns.vs).all()


def test_no_input_receives_a_gradient() -> None:
    inputs: dict[str, Any] = {name: torch.from_numpy(x) for name, x in example().items()}
    for name in inputs.keys() - {"valid"}:
        inputs[name].requires_grad_()
    returns = vtrace(**inputs)
    assert not returns.vs.requires_grad
    assert not returns.pg_advantages.requires_grad


def truncated(at: int) -> dict[str, Any]:
    """An episode is cut in transition `at`; the environment resets itself in the next one."""
    case = example(T=8)
    case["valid"][at + 1] = False
    return case


@given(st.integers(0, 6), st.floats(-100.0, 100.0))
@settings(deadline=None, max_examples=50)
def test_nothing_leaks_across_a_truncation(at: int, change: float) -> None:
    case = truncated(at)
    other = {name: x.copy() for name, x in case.items()}
    for name in ("rewards", "log_rhos", "discounts"):
        other[name][at + 1 :] += change
    other["values"][at + 2 :] += change
    other["valid"][at + 3 :] = False
    other["bootstrap_value"] = other["bootstrap_value"] + change
    before, after = ours(**case), ours(**other)
    assert torch.equal(before.vs[: at + 2], after.vs[: at + 2])
    assert torch.equal(before.pg_advantages[: at + 2], after.pg_advantages[: at + 2])
    assert torch.equal(before.vs[at + 1], torch.from_numpy(case["values"][at + 1]))
    assert not before.pg_advantages[at + 1].any()


@pytest.mark.parametrize("end", ["truncated", "terminated"])
def test_truncation_bootstraps_and_termination_does_not(end: str) -> None:
    case = truncated(3) | {"log_rhos": np.zeros((8, 3))}
    case["discounts"][3] = 0.0 if end == "terminated" else 0.9
    target = case["rewards"][3] + case["discounts"][3] * case["values"][4]
    returns = ours(**case)
    np.testing.assert_allclose(returns.vs[3].numpy(), target, **EXACT)
    np.testing.assert_allclose(returns.pg_advantages[3].numpy(), target - case["values"][3], **EXACT)


def test_refuses_targets_clipped_tighter_than_the_policy_gradient() -> None:
    with pytest.raises(ValueError, match=r"clip_rho_threshold 1.0 is below clip_pg_rho_threshold 2.0"):
        ours(**example(), clip_rho_threshold=1.0, clip_pg_rho_threshold=2.0)


@pytest.mark.skipif(kernels() is None, reason="no compiled loop for this processor, or no compiler at the installation")
@pytest.mark.parametrize(("T", "B"), [(1, 1), (64, 1), (32, 5), (20, 240)])
def test_the_compiled_loop_gives_the_same_bits(T: int, B: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(T)
    terms, decays = torch.randn(T, B), torch.rand(B, T).T
    compiled = accumulated(terms, decays)
    monkeypatch.setattr("kickstarting.algo.vtrace.kernels", lambda: None)
    assert torch.equal(compiled, accumulated(terms, decays))
