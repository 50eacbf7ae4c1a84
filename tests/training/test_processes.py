"""Several processes train as one does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from fakes.processes import all_trainings, start

from audio2face.distributed import ALONE, WHOLE, Rng, Shard, World
from audio2face.models.common import losses
from audio2face.training.metrics import Mean, reduce_means


@pytest.mark.parametrize("total", [1, 2, 5, 8])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_shares_are_the_whole_batch_once(total: int, count: int) -> None:
    shares = [World(rank, count).shard(total) for rank in range(count)]
    items = [i for share in shares if share.counts for i in share.of(list(range(total)))]
    assert sorted(items) == list(range(total))
    assert all(len(share.of(range(total))) == share.size >= 1 for share in shares)
    assert sum(not share.counts for share in shares) == max(count - total, 0)


def test_random_rows_are_those_of_the_whole_batch() -> None:
    def draw(share: Shard, rows: int) -> torch.Tensor:
        return Rng(share, torch.Generator().manual_seed(7)).normal(rows, 2, device=torch.device("cpu"))

    whole = draw(Shard(5), 15).unflatten(0, (5, 3))
    for rank in range(2):
        share = World(rank, 2).shard(5)
        assert torch.equal(draw(share, 3 * share.size).unflatten(0, (-1, 3)), whole[rank::2])


@dataclass(frozen=True)
class Others(World):
    """Stands in for several processes: knows what the others add."""

    added: Any = 0.0

    def reduce_sum(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.added


def test_parts_of_a_batch_make_its_means_and_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    target, mask = torch.randn(10, 3, generator=generator), (torch.rand(10, 3, generator=generator) > 0.3).float()
    weight = torch.randn(3, generator=generator)

    def means(rows: slice, w: torch.Tensor) -> dict[str, Mean]:
        x = target[rows].roll(1, 1) * w
        return {
            "MSE": losses.mse(x, target[rows], mask[rows]),
            "MOTION": losses.motion(x, target[rows], mask[rows], 2),
            "EMO_REG": losses.emotion_regulariser(x, 2),
            "PHONEME": losses.phoneme_cross_entropy(x[:, None], target[rows, None].softmax(-1), 0, 0.3),
        }

    def value_and_gradient(rows: slice, world: World, counts: bool = True) -> tuple[Any, torch.Tensor]:
        w = weight.clone().requires_grad_()
        terms = reduce_means(means(rows, w), world, counts)
        total = torch.stack([value**0.7 for value in terms.values()]).sum()  # not linear in the terms
        total.backward()
        assert w.grad is not None
        return {name: value.item() for name, value in terms.items()}, w.grad

    expected, gradient = value_and_gradient(slice(0, 10), ALONE)
    parts = [slice(0, 6), slice(6, 10), slice(0, 2)]  # the last one stands in for an empty share
    sums = [torch.stack([y for m in means(rows, weight).values() for y in (m.total, m.weight)]) for rows in parts]
    found = [
        value_and_gradient(parts[0], Others(0, 3, sums[1])),
        value_and_gradient(parts[1], Others(1, 3, sums[0])),
        value_and_gradient(parts[2], Others(2, 3, sums[0] + sums[1]), counts=False),
    ]
    for values, _ in found:
        assert values == pytest.approx(expected, rel=1e-5)
    assert torch.allclose(sum(g for _, g in found), gradient, rtol=1e-4)
    assert found[2][1].abs().max() == 0


# ---- two processes and one


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """What one process made of the trainings, and each of two."""
    folder = tmp_path_factory.mktemp("processes")
    before, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    try:
        alone = all_trainings(ALONE)
    finally:
        torch.set_default_dtype(before)
        torch.set_num_threads(threads)
    started = start(folder, 2, alone["diffusion"]["states"][0])
    for process in started:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    yield alone, [torch.load(folder / f"result_{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("name", ["regression", "diffusion", "resumed"])
def test_two_processes_train_as_one(runs: Any, name: str) -> None:
    alone, (first, second) = runs
    assert len(alone[name]["curve"]) == {"regression": 6, "diffusion": 2, "resumed": 1}[name]
    assert first[name]["curve"] == pytest.approx(alone[name]["curve"], rel=1e-9)
    for key, value in alone[name]["weights"].items():
        assert torch.allclose(first[name]["weights"][key], value, rtol=1e-6, atol=1e-9), key
        assert torch.equal(first[name]["weights"][key], second[name]["weights"][key]), key
    assert not second[name]["states"] and len(first[name]["states"]) == len(alone[name]["states"])


def test_a_checkpoint_of_two_processes_serves_one(runs: Any) -> None:
    alone, (first, _) = runs
    one, two = alone["diffusion"]["states"][0], first["diffusion"]["states"][0]
    assert one.keys() == two.keys() and one["step"] == two["step"]
    assert torch.equal(one["random"]["cpu"], two["random"]["cpu"])


def test_processes_stop_and_fail_together(runs: Any) -> None:
    _, results = runs
    assert [r["together"]["stopped"] for r in results] == [2, 2]
    for result in results:
        assert "the loss is not finite by step 1, first in epoch 1, batch 1, of ann/s" in result["together"]["diverged"]


def test_random_numbers_can_be_drawn_within_a_compiled_network():
    def draw(x, rng):
        return x * rng.uniform(4, 3, device=x.device) + rng.normal(4, 3, device=x.device)

    compiled = torch.compile(draw, backend="eager", fullgraph=True)
    found = []
    for function in (draw, compiled):
        torch.manual_seed(0)
        found.append(function(torch.ones(4, 3), WHOLE))
    assert torch.equal(*found)
