"""Missions to tokens to codes, and the cache of codes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from kickstarting.networks.language import LanguageEncoder
from kickstarting.spaces import MAX_WORDS, tokenise

VOCABULARY = """a after and at avoid ball behind blue box corner door end fetch find first from front get go
goal green grey hallway in key lava left match matching maze must near next object of on open opened opening
opposite path pick purple put reach red right room rooms square the then to traverse unlock up use
yellow you your"""
"""Every word of MiniGrid's and BabyAI's missions, and some of their neighbours."""


def batch(*rows: list[str]) -> Tensor:
    """Missions [T][B] to token ids [T, B, words]."""
    return torch.from_numpy(np.stack([np.stack([tokenise(mission) for mission in row]) for row in rows]))


MISSIONS = batch(["go to the red ball", "open the door", ""], ["open the door", "go to the red ball", "pick up a key"])


@pytest.fixture
def encoder() -> LanguageEncoder:
    torch.manual_seed(0)
    return LanguageEncoder(8)


@pytest.fixture
def encoded(encoder: LanguageEncoder, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many missions each call of the encoder's LSTM has read."""
    counts: list[int] = []
    encode = encoder.encode

    def counting(tokens: Tensor) -> Tensor:
        counts.append(len(tokens))
        return encode(tokens)

    monkeypatch.setattr(encoder, "encode", counting)
    return counts


def without_gradient(encoder: LanguageEncoder, tokens: Tensor = MISSIONS) -> Tensor:
    with torch.no_grad():
        return encoder(tokens)


def one_by_one(encoder: LanguageEncoder, tokens: Tensor = MISSIONS) -> Tensor:
    """Each mission cut to its words and read alone, with gradients and no cache."""
    codes = []
    for mission in tokens.flatten(0, 1):
        words = mission[: max(1, int((mission >= 0).sum()))].long().clamp(min=0)
        codes.append(encoder.lstm(encoder.embedding(words)[:, None])[0][-1, 0])
    return torch.stack(codes).view(*tokens.shape[:2], -1)


# --- tokens


def test_words_of_minigrid_and_babyai_do_not_collide() -> None:
    words = VOCABULARY.split()
    tokens = {int(tokenise(word)[0]) for word in words}
    assert len(tokens) == len(words) == len(set(words))


def test_tokens_are_those_of_the_words() -> None:
    tokens = tokenise("Go to the red ball, then go")
    alone = [tokenise(word)[0] for word in ("go", "to", "the", "red", "ball", "then", "go")]
    assert tokens.dtype == np.int16
    assert tokens.shape == (MAX_WORDS,)
    assert tokens[:7].tolist() == alone
    assert (tokens[7:] == -1).all()
    assert (tokens[:7] >= 0).all()


def test_tokens_never_change() -> None:
    """Else no trained language encoder could be loaded again."""
    assert tokenise("go to the red ball")[:5].tolist() == [90, 760, 249, 208, 159]


def test_long_missions_are_cut() -> None:
    words = [f"word{i}" for i in range(MAX_WORDS + 5)]
    assert tokenise(" ".join(words)).tolist() == tokenise(" ".join(words[:MAX_WORDS])).tolist()


def test_empty_mission_has_no_tokens() -> None:
    assert (tokenise("") == -1).all()


# --- codes


def test_codes_are_those_of_each_mission_alone(encoder: LanguageEncoder) -> None:
    torch.testing.assert_close(encoder(MISSIONS), one_by_one(encoder))


def test_equal_missions_have_equal_codes_and_others_differ(encoder: LanguageEncoder) -> None:
    codes = encoder(MISSIONS)
    assert torch.equal(codes[0, 0], codes[1, 1])
    assert torch.equal(codes[0, 1], codes[1, 0])
    assert len(codes.flatten(0, 1).unique(dim=0)) == 4


def test_order_of_words_matters(encoder: LanguageEncoder) -> None:
    codes = encoder(batch(["red ball", "ball red"]))
    assert not torch.allclose(codes[0, 0], codes[0, 1])


def test_empty_mission_alone(encoder: LanguageEncoder) -> None:
    assert torch.isfinite(encoder(batch([""]))).all()


def test_gradients_are_those_of_each_mission_alone(encoder: LanguageEncoder) -> None:
    parameters = [p for p in encoder.parameters() if p.requires_grad]
    weights = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    codes = (encoder(MISSIONS), one_by_one(encoder))
    gradients = [torch.autograd.grad((x * weights).sum(), parameters) for x in codes]
    for x, y in zip(*gradients, strict=True):
        torch.testing.assert_close(x, y)


def test_each_mission_is_read_once(encoder: LanguageEncoder, encoded: list[int]) -> None:
    encoder(MISSIONS)
    assert encoded == [4]


# --- the cache


def test_cache_gives_what_the_gradient_path_gives(encoder: LanguageEncoder, encoded: list[int]) -> None:
    expected = encoder(MISSIONS)
    encoded.clear()
    for _ in range(2):  # torch computes an LSTM in another way where nobody learns, so not to the bit
        torch.testing.assert_close(without_gradient(encoder), expected, rtol=1e-5, atol=1e-6)
    flipped = without_gradient(encoder, MISSIONS.flip(0)[:, 1:])
    torch.testing.assert_close(flipped, expected.flip(0)[:, 1:], rtol=1e-5, atol=1e-6)
    assert encoded == [4]


def test_cache_learns_new_missions_and_keeps_the_old(encoder: LanguageEncoder, encoded: list[int]) -> None:
    new = batch(["go to the green box", "open the door"])
    without_gradient(encoder)
    torch.testing.assert_close(without_gradient(encoder, new), one_by_one(encoder, new))
    encoded.clear()
    torch.testing.assert_close(without_gradient(encoder), one_by_one(encoder))
    torch.testing.assert_close(without_gradient(encoder, new), one_by_one(encoder, new))
    assert not encoded


def optimiser_step(encoder: LanguageEncoder, kind: Callable[..., torch.optim.Optimizer], **options: bool) -> None:
    optimiser = kind((p for p in encoder.parameters() if p.requires_grad), lr=0.1, **options)
    encoder(MISSIONS).sum().backward()
    optimiser.step()


def load(encoder: LanguageEncoder) -> None:
    encoder.load_state_dict(LanguageEncoder(8).state_dict())


def in_place(encoder: LanguageEncoder) -> None:
    with torch.no_grad():
        encoder.embedding.weight.mul_(0.5)


CHANGES = {
    "sgd": lambda encoder: optimiser_step(encoder, torch.optim.SGD),
    "adam": lambda encoder: optimiser_step(encoder, torch.optim.Adam),
    "fused": lambda encoder: optimiser_step(encoder, torch.optim.Adam, fused=True),
    "load_state_dict": load,
    "in_place": in_place,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_new_weights_empty_the_cache(encoder: LanguageEncoder, change: Callable[[LanguageEncoder], None]) -> None:
    before = without_gradient(encoder)
    change(encoder)
    after = without_gradient(encoder)
    torch.testing.assert_close(after, one_by_one(encoder))
    assert not torch.allclose(after, before)


def pickled(encoder: LanguageEncoder) -> LanguageEncoder:
    return pickle.loads(pickle.dumps(encoder))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
def test_a_copy_with_new_weights_does_not_answer_from_the_originals_cache(
    encoder: LanguageEncoder, duplicate: Callable[[LanguageEncoder], LanguageEncoder]
) -> None:
    """However many updates it has seen: a copy counts them from 0 again."""
    without_gradient(encoder)
    for updates in range(1, 15):
        copied = duplicate(encoder)
        for _ in range(updates):
            in_place(copied)
        message = f"after {updates} updates of the copy"
        torch.testing.assert_close(without_gradient(copied), one_by_one(copied), msg=message)


def test_the_cache_is_no_part_of_the_weights(encoder: LanguageEncoder) -> None:
    names = set(encoder.state_dict())
    without_gradient(encoder)
    assert set(encoder.state_dict()) == names == {name for name, _ in encoder.named_parameters()}
