"""Which device a worker takes, and whether several models fit there; no GPU is needed to say."""

from __future__ import annotations

import pytest
import torch

from pytest_llminvariance import ModelError, UsageError
from pytest_llminvariance.models.local import devices
from pytest_llminvariance.models.local.devices import Worker, batch_tokens_for, choose_device, fit_workers

GIB = 2**30


@pytest.fixture
def three_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)


@pytest.mark.usefixtures("three_gpus")
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_workers_take_the_devices_in_turn(device: str) -> None:
    taken = [str(choose_device(device, Worker(index, 5))) for index in range(5)]
    assert taken == ["cuda:0", "cuda:1", "cuda:2", "cuda:0", "cuda:1"]


@pytest.mark.usefixtures("three_gpus")
def test_a_named_device_is_kept_and_checked() -> None:
    assert str(choose_device("cuda:1", Worker(0, 3))) == "cuda:1"
    assert str(choose_device("cpu", Worker(0, 3))) == "cpu"
    with pytest.raises(ModelError, match="there are 3 CUDA devices"):
        choose_device("cuda:3")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_no_device_here_is_said() -> None:
    with pytest.raises(ModelError, match="sees no CUDA device here"):
        choose_device("cuda")


@pytest.mark.parametrize(("workers", "n_devices"), [(1, 1), (2, 2), (4, 2), (8, 4), (3, 1)])
def test_workers_that_fit_are_let_in(workers: int, n_devices: int) -> None:
    fit_workers("m", 5 * GIB, Worker(0, workers), n_devices, 24 * GIB)


@pytest.mark.parametrize(("workers", "n_devices", "most"), [(5, 1, 4), (9, 2, 8)])
def test_workers_that_do_not_fit_are_told_how_many_would(workers: int, n_devices: int, most: int) -> None:
    with pytest.raises(UsageError, match=rf"{workers} workers share {n_devices} CUDA .* Use -n {most} or fewer"):
        fit_workers("m", 5 * GIB, Worker(0, workers), n_devices, 24 * GIB)


def test_a_lone_worker_is_left_to_try_a_model_larger_than_the_device() -> None:
    fit_workers("m", 50 * GIB, Worker(0, 2), 2, 24 * GIB)


class _Text:
    hidden_size = 4096
    intermediate_size = 14336


class _Config:
    @staticmethod
    def get_text_config() -> type[_Text]:
        return _Text


class _Network:
    config = _Config
    dtype = torch.bfloat16
    device = torch.device("cuda", 0)


@pytest.mark.parametrize("free_gib", [0.5, 2, 8, 20, 70])
def test_the_tokens_of_a_pass_grow_with_free_memory(free_gib: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda place: (int(free_gib * GIB), 80 * GIB))
    tokens = batch_tokens_for(_Network)
    assert devices.CPU_BATCH_TOKENS <= tokens <= devices.MOST_BATCH_TOKENS
    if free_gib >= 70:
        assert tokens > 20_000
    if free_gib <= 2:
        assert tokens <= 2_048


def test_a_cpu_has_a_constant() -> None:
    class OnCpu(_Network):
        device = torch.device("cpu")

    assert batch_tokens_for(OnCpu) == devices.CPU_BATCH_TOKENS
