"""What a configuration makes: how a new student begins."""

from __future__ import annotations

import torch

from kickstarting.assembly import build


def norms(weight: torch.Tensor) -> torch.Tensor:
    return weight.detach().norm(dim=1)


def test_a_student_that_is_taught_begins_with_a_head_of_norm_1_and_is_otherwise_the_same(tiny, make_policy) -> None:
    alone, taught = (build(tiny(teachers=refs))[3].network for refs in ((), (make_policy(),)))
    torch.testing.assert_close(norms(alone.policy.weight), torch.full((alone.policy.out_features,), 0.01))
    torch.testing.assert_close(norms(taught.policy.weight), torch.ones(taught.policy.out_features))
    theirs = dict(taught.named_parameters())
    assert all(torch.equal(x, theirs[name]) for name, x in alone.named_parameters() if name != "policy.weight")


def test_without_an_lstm_the_head_stays_small(tiny, make_policy) -> None:
    network = build(tiny(teachers=(make_policy(),), network_options=("lstm=0", "hidden=8")))[3].network
    torch.testing.assert_close(norms(network.policy.weight), torch.full((network.policy.out_features,), 0.01))
