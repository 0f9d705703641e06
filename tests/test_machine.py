"""What a process takes of the machine: exact float32 products, bfloat16 only when asked for, and clear errors."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kickstarting import Config, Output
from kickstarting.machine import MachineConfig, mixed_precision, resolve_precision, run_network, use_fitting_products, use_machine
from kickstarting.types import Inputs


class Linear(nn.Module):
    """Logits and values are one linear layer's."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 3)

    def forward(self, inputs: Inputs, state: tuple) -> tuple[Output, tuple]:
        x = self.layer(inputs.observations["x"])
        self.dtype = x.dtype
        return Output(x[..., :2], x[..., 2]), state


def run(precision: str) -> tuple[Linear, Output]:
    torch.manual_seed(0)
    network = Linear()
    inputs = Inputs({"x": torch.randn(5, 4, 64)}, torch.zeros(5, 4), torch.zeros(5, 4), torch.zeros(5, 4, dtype=torch.bool))
    use_machine(1, precision)
    return network, run_network(network, inputs, ())[0]


def test_float32_products_are_exact_to_float32():
    """Whatever library multiplies: 1 + 2^-12 is no bfloat16, and sums agree with float64 to float32's rounding."""
    use_machine(1)
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(256, 256, generator=generator) for _ in range(2))
    error = (x @ y).double() - x.double() @ y.double()
    assert error.abs().max() < 256 * 2**-23 * 4


@pytest.mark.parametrize(("rows", "said"), [(64, ["ieee"]), (2_000, [])])
def test_small_products_are_taken_from_onednn(rows, said, monkeypatch):
    """64 x 64 numbers: 64 rows of them are not worth its call, 2,000 are."""
    found: list[str] = []
    monkeypatch.setattr("kickstarting.machine._multiply", found.append)
    use_fitting_products(nn.Sequential(nn.Linear(17, 64), nn.Linear(64, 64)), rows)
    assert found == said


def test_bfloat16_is_used_when_asked_for_and_the_output_is_float32():
    (exact, expected), (low, found) = run("float32"), run("bfloat16")
    assert exact.dtype == torch.float32
    assert low.dtype == torch.bfloat16
    for x, y in zip(found, expected, strict=True):
        assert x.dtype == torch.float32
        assert 0 < (x - y).abs().max() < 0.02


def test_precision_is_the_processs_own_again():
    run("bfloat16")
    use_machine(1)
    with mixed_precision():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.parametrize("able", [True, False])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_auto_is_bfloat16_where_the_hardware_has_it(monkeypatch, device, able):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: able)
    for name, says in (("_is_avx512_bf16_supported", able), ("_is_amx_tile_supported", False)):
        monkeypatch.setattr(torch.cpu, name, lambda says=says: says, raising=False)
    assert resolve_precision("auto", device) == ("bfloat16" if able else "float32")
    assert [resolve_precision(given, device) for given in ("float32", "bfloat16")] == ["float32", "bfloat16"]


def test_a_run_keeps_what_auto_meant_where_it_began(tiny, monkeypatch):
    for has, device, precision in ((True, "cuda", "bfloat16"), (False, "cpu", "float32")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda has=has: has)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
            monkeypatch.setattr(torch.cpu, name, bool, raising=False)
        began = tiny(suite="MiniGrid-Empty-5x5-v0", precision="auto").on_this_machine()
        assert (began.machine.device, began.machine.precision) == (device, precision)
        monkeypatch.setattr(torch.cuda, "is_available", lambda has=has: not has)
        assert began.on_this_machine() == began


def test_auto_is_float32_where_nothing_is_convolved(tiny, monkeypatch):
    """Of a few numbers the products are small; a run that asks for bfloat16 has it."""
    monkeypatch.setattr("kickstarting.machine.resolve_precision", lambda given, device: "bfloat16")
    for suite, precision in (("CartPole-v1", "float32"), ("MiniGrid-Empty-5x5-v0", "bfloat16")):
        assert tiny(suite=suite, precision="auto").on_this_machine().machine.precision == precision
    assert tiny(suite="CartPole-v1", precision="bfloat16").on_this_machine().machine.precision == "bfloat16"


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"precision": "float16"}, "known: auto, float32"), ({"device": "tpu"}, "known: auto, cpu, cuda")],
)
def test_unknown_precision_and_device(changes, message):
    with pytest.raises(ValueError, match=message):
        Config.of("CartPole-v1", **changes).check()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there():
    with pytest.raises(ValueError, match="no GPU here"):
        MachineConfig(device="cuda").check()
