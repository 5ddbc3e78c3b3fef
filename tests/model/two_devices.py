"""Two devices that are none: tensors in main memory that say where they lie, and do not meet tensors from elsewhere.

What real devices refuse is refused: an operation on tensors of two devices, except that an index and a single number
may lie in main memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

HERE = torch.device("cpu")
INDEXED = {torch.Tensor.__getitem__, torch.Tensor.index_select, torch.Tensor.__setitem__}
MAKERS = {
    torch.arange, torch.as_tensor, torch.empty, torch.full, torch.ones, torch.tensor, torch.zeros, torch.eye,
}  # fmt: skip


class Far(torch.Tensor):  # type: ignore[misc] # torch is not followed
    """A tensor in main memory that says that it lies elsewhere."""

    place: torch.device

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return called(function, args, kwargs or {})


def placed_at(tensor: torch.Tensor, place: torch.device) -> torch.Tensor:
    with torch._C.DisableTorchFunction():
        if place == HERE:
            return tensor.as_subclass(torch.Tensor)
        made: Any = tensor.as_subclass(Far)
    made.place = place
    return made


def where(tensor: Any) -> torch.device:
    return tensor.place if isinstance(tensor, Far) else HERE


def tensors_in(arguments: Any) -> Iterator[torch.Tensor]:
    return (leaf for leaf in tree_leaves(arguments) if isinstance(leaf, torch.Tensor))


def called(function: Any, args: Any, kwargs: Any) -> Any:
    with torch._C.DisableTorchFunction():
        return _called(function, args, kwargs)


def _called(function: Any, args: Any, kwargs: Any) -> Any:
    if function == torch.Tensor.device.__get__:
        return where(args[0])
    if function in (torch.Tensor.tolist, torch.Tensor.item, torch.Tensor.__repr__):
        return function(args[0].as_subclass(torch.Tensor))
    goes = target(function, args, kwargs)
    args, kwargs = tree_map(no_device, (args, kwargs))
    places = {where(each) for each in tensors_in((args, kwargs)) if each.dim() or where(each) != HERE}
    if function in INDEXED:
        places -= {HERE} if where(args[0]) != HERE else set()
    if function in (torch.Tensor.copy_, torch.Tensor.to):
        places = {where(args[0])}
    if len(places) > 1:
        raise RuntimeError(f"{function.__name__}: expected all tensors on one device, found {sorted(map(str, places))}")
    at = goes or next(iter(places), HERE)
    out = function(*args, **kwargs)
    return tree_map(lambda each: placed_at(each, at) if type(each) in (torch.Tensor, Far) else each, out)


def target(function: Any, args: Any, kwargs: Any) -> torch.device | None:
    """Where a result goes if the call says so."""
    said = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.device)]
    said += [torch.device(each) for each in tree_leaves((args, kwargs)) if isinstance(each, str) and ":" in each]
    if said:
        return said[0]
    if function is torch.Tensor.cpu or (function is torch.Tensor.to and "cpu" in args):
        return HERE
    if function in (torch.Tensor.to, torch.Tensor.type_as) and len(args) > 1 and isinstance(args[1], torch.Tensor):
        return where(args[1])
    return None


def no_device(leaf: Any) -> Any:
    is_place = isinstance(leaf, torch.device) or (isinstance(leaf, str) and ":" in leaf)
    return HERE if is_place else leaf


class Devices(TorchFunctionMode):  # type: ignore[misc] # as above
    """While on, tensors are made where they are asked to be."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return called(function, args, kwargs or {})


def split(network: Any, first: str, second: str) -> Any:
    """Put the embedding and the first layers on one device, the last layer, norm and head on another."""
    places = {"model.embed_tokens": first, "model.rotary_emb": first, "model.layers.0": first, "model.layers.1": first}
    places |= {"model.layers.2": second, "model.norm": second, "lm_head": second}
    for name, module in network.named_modules():
        found = next((place for key, place in places.items() if name == key or name.startswith(f"{key}.")), None)
        if found is None:
            continue
        place = torch.device(found)
        for key, parameter in list(module._parameters.items()):
            if parameter is not None:
                module._parameters[key] = placed_at(parameter.detach(), place)
        for key, buffer in list(module._buffers.items()):
            module._buffers[key] = placed_at(buffer, place)
        if name in places:
            module.register_forward_pre_hook(moving(place), with_kwargs=True)
    return network


def moving(place: torch.device) -> Any:
    """A hook that brings what a layer is given to where the layer is, as accelerate's do."""

    def hook(module: Any, args: Any, kwargs: Any) -> Any:
        return tree_map(lambda each: each.to(place) if isinstance(each, torch.Tensor) else each, (args, kwargs))

    return hook
