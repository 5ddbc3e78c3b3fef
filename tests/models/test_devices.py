"""Which device a worker takes, and whether several models fit there; no GPU is needed to say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pytest_llminvariance import ModelError, UsageError
from pytest_llminvariance.models.local import devices
from pytest_llminvariance.models.local.devices import (
    Worker,
    batch_tokens_for,
    choose_device,
    entrance,
    fit_workers,
    out_of_memory,
    rows_at,
)

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

    @classmethod
    def parameters(cls) -> list[Any]:
        return [SimpleNamespace(device=cls.device)]


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


def test_the_fullest_of_several_devices_sets_the_tokens_of_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    class OnTwo(_Network):
        @classmethod
        def parameters(cls) -> list[Any]:
            return [SimpleNamespace(device=torch.device("cuda", n)) for n in (0, 1)]

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda place: ((70, 2)[place.index] * GIB, 80 * GIB))
    assert batch_tokens_for(OnTwo) <= 2_048


@pytest.mark.parametrize(
    ("hook", "where"),
    [
        (None, "meta"),
        (SimpleNamespace(execution_device=1), "cuda:1"),
        (SimpleNamespace(execution_device="cpu"), "cpu"),
        (SimpleNamespace(execution_device=None), "meta"),
        (SimpleNamespace(hooks=[SimpleNamespace(), SimpleNamespace(execution_device="cuda:0")]), "cuda:0"),
    ],
)
def test_tokens_go_where_the_first_layer_computes(hook: Any, where: str) -> None:
    first = torch.nn.Embedding(3, 2)
    if hook is not None:
        first._hf_hook = hook
    network = SimpleNamespace(get_input_embeddings=lambda: first, device=torch.device("meta"))
    assert str(entrance(network)) == where


def test_rows_of_a_model_on_several_devices_lie_in_main_memory() -> None:
    class Of:
        def __init__(self, *places: str) -> None:
            self.places, self.device = places, torch.device("meta")

        def parameters(self) -> list[Any]:
            return [SimpleNamespace(device=torch.device(place)) for place in self.places]

    assert rows_at(Of("meta", "meta"), [1, 2]).device.type == "meta"
    assert rows_at(Of("cuda:0", "cuda:1"), [1, 2]).tolist() == [1, 2]


def caused(error: Exception, by: BaseException) -> Exception:
    error.__cause__ = by
    return error


MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError(),
    MemoryError("Unable to allocate 3 GiB for an array"),
    OSError(12, "Cannot allocate memory"),
    caused(ValueError("a layer failed"), RuntimeError("HIP out of memory")),
]
OTHER = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    ValueError("out of memory"),
    OSError(2, "No such file"),
    RuntimeError("out of resource: shared memory, Required: 1, Hardware limit: 2"),
    caused(ValueError("a layer failed"), RuntimeError("shapes differ")),
]


@pytest.mark.parametrize(("errors", "is_memory"), [(MEMORY, True), (OTHER, False)])
def test_what_is_memory_is_told_from_what_is_not(errors: list[Exception], is_memory: bool) -> None:
    assert [out_of_memory(error) for error in errors] == [is_memory] * len(errors)
