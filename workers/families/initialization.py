"""The first weights, all of them drawn from one generator.

    he                  N(0, 2/m), m inputs per unit                 K. He et al. 2015
    xavier_normal       N(0, 2/(m+n)), n outputs                     X. Glorot and Y. Bengio 2010
    xavier_uniform      the same variance, uniform
    inverse_sqrt        U(±1/√m)                                     Y. LeCun et al. 1998
    orthogonal          orthonormal rows or columns                  A. Saxe, J. McClelland and S. Ganguli 2014
    sparse              k inputs of each unit with N(0, 1/k)         J. Martens 2010
    data_scaled         orthogonal, then every layer scaled to answer training examples with variance 1
                                                                     D. Mishkin and J. Matas 2016

Biases become `first_bias`, in the last layer 0. The last affine layer feeds no rectifier: it gets N(0, 1/m) for he.
Recurrent weights are orthogonal, embeddings N(0, 1/d).

A module of a family that has parameters of its own defines `initialize(rng)`, or makes them constant in its
constructor. One with `reset_parameters` that is not known here was drawn from the global generator and is refused.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.parametrize import is_parametrized

AFFINE = (nn.Linear, _ConvNd)
CONSTANT = (  # begin as constants
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.PReLU,
)
PROBES = 256  # examples that tell a layer's variance


class Gate(nn.Linear):
    """A linear layer whose biases start at a given value instead of 0."""

    def __init__(self, inputs: int, outputs: int, bias: float) -> None:
        super().__init__(inputs, outputs)
        self.first_bias = bias


@torch.no_grad()
def initialize(model: nn.Module, init: str, rng: torch.Generator, settings: Mapping[str, Any] | None = None) -> None:
    """Draws all weights of the model. `settings` are read for what goes with `init`: gain, inputs, biases."""
    settings = settings or {}
    affine = [module for module in model.modules() if isinstance(module, AFFINE)]
    for module in model.modules():
        if callable(own := getattr(module, "initialize", None)):
            own(rng)
        elif isinstance(module, AFFINE):
            last = module is affine[-1]
            draw(module.weight, fan_in(module), init, rng, last, settings)
            module.weight.mul_(settings.get("init_gain", 1.0))
            if module.bias is not None:
                first = 0.0 if last else settings.get("first_bias", 0.0)
                nn.init.constant_(module.bias, module.first_bias if isinstance(module, Gate) else first)
        elif isinstance(module, nn.RNNBase | nn.RNNCellBase):
            recurrent(module, rng)
        elif isinstance(module, nn.Embedding | nn.EmbeddingBag):
            nn.init.normal_(module.weight, std=1 / math.sqrt(module.embedding_dim), generator=rng)
        elif isinstance(module, nn.MultiheadAttention):
            attention(module, rng)
        else:
            drawn = hasattr(module, "reset_parameters") and any(True for _ in module.parameters(recurse=False))
            assert not drawn or isinstance(module, CONSTANT), (
                f"{type(module).__name__} has weights that are not drawn here: give it a method initialize(rng)"
            )


def fan_in(module: nn.Module) -> int:
    """How many inputs a unit reads. The weights of a transposed convolution have their inputs first; each output reads
    1 / strides of the kernel's places."""
    assert isinstance(module, AFFINE)
    weight = module.weight
    if isinstance(module, _ConvNd) and module.transposed:
        read = weight.shape[0] // module.groups * weight[0, 0].numel() / math.prod(module.stride)
        return max(1, round(read))
    return weight[0].numel()


def draw(weight: Tensor, inputs: int, init: str, rng: torch.Generator, last: bool, settings: Mapping[str, Any]) -> None:
    bound = 1 / math.sqrt(inputs)
    match init:
        case "he":
            nn.init.normal_(weight, std=bound if last else math.sqrt(2) * bound, generator=rng)
        case "xavier_normal":
            nn.init.xavier_normal_(weight, generator=rng)
        case "xavier_uniform":
            nn.init.xavier_uniform_(weight, generator=rng)
        case "inverse_sqrt":
            nn.init.uniform_(weight, -bound, bound, generator=rng)
        case "orthogonal" | "data_scaled":
            nn.init.orthogonal_(weight, generator=rng)
        case "sparse":
            sparse(weight, settings.get("sparse_inputs", 15), rng)
        case _:
            raise AssertionError(f"no initialization {init!r}")


def sparse(weight: Tensor, inputs: int, rng: torch.Generator) -> None:
    """`weight` [outputs, ...]: all but `inputs` of each output become 0."""
    flat = torch.randn(weight.flatten(1).shape, generator=rng)
    k = min(inputs, flat.shape[1])
    kept = torch.rand(flat.shape, generator=rng).argsort(dim=1) < k
    weight.copy_((flat * kept / math.sqrt(k)).reshape(weight.shape))


def recurrent(module: nn.RNNBase | nn.RNNCellBase, rng: torch.Generator) -> None:
    """Weights from the inputs: xavier_uniform; from the state to itself: orthogonal, gate by gate; biases: 0."""
    for name, parameter in module.named_parameters():
        if parameter.ndim == 1:
            nn.init.zeros_(parameter)
        else:
            gates = parameter.chunk(max(1, parameter.shape[0] // module.hidden_size))
            for gate in gates:
                if name.startswith("weight_hh"):
                    nn.init.orthogonal_(gate, generator=rng)
                else:
                    nn.init.xavier_uniform_(gate, generator=rng)


def attention(module: nn.MultiheadAttention, rng: torch.Generator) -> None:
    """Queries, keys and values: xavier_uniform each. What they are put together by is a linear layer of its own."""
    for name, parameter in module.named_parameters(recurse=False):
        if parameter.ndim == 1 or name.startswith("bias"):
            nn.init.zeros_(parameter)
        else:
            for part in parameter.chunk(3) if name == "in_proj_weight" else (parameter,):
                nn.init.xavier_uniform_(part, generator=rng)


@torch.no_grad()
def scale_by_data(model: nn.Module, inputs: Tensor, gain: float) -> None:
    """data_scaled: one pass of `inputs` through the model, in which every affine layer is scaled so that what it makes
    of its inputs has the deviation `gain` before the next layer reads it. Biases stay, and are not counted: those of
    the prior are far apart."""

    def scale(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
        bias = _added(module, output)
        factor = gain / (output - bias).std().clamp(min=1e-6)
        lengths = "parametrizations.weight.original0" if is_parametrized(module) else "weight"
        module.get_parameter(lengths).mul_(factor)
        return (output - bias) * factor + bias

    hooks = [module.register_forward_hook(scale) for module in model.modules() if isinstance(module, AFFINE)]
    try:
        model.eval()
        model(inputs[:PROBES])
    finally:
        for hook in hooks:
            hook.remove()


def _added(module: nn.Module, output: Tensor) -> Tensor:
    """The bias as it is in [..., features] of a linear layer, [batch, channels, positions] of a convolution."""
    bias = module.bias
    if not isinstance(bias, Tensor):
        return output.new_zeros(())
    return bias if isinstance(module, nn.Linear) else bias.reshape(-1, *[1] * (output.ndim - 2))


def normalize_weights(model: nn.Module) -> None:
    """Of each affine layer, w = g v / |v|, row by row: length and direction are learnt apart (T. Salimans and
    D. Kingma, Weight normalization, 2016). The layers answer what they did before."""
    affine = [module for module in model.modules() if isinstance(module, AFFINE)]
    uses = Counter(id(module.weight) for module in affine)
    for module in affine:
        if uses[id(module.weight)] == 1:  # what two layers share stays one
            weight_norm(module, dim=1 if isinstance(module, _ConvNd) and module.transposed else 0)
