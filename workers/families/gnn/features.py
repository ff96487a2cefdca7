"""What is known of a node without learning: a matrix [nodes, columns] that follows from the edges alone."""

from __future__ import annotations

import torch
from torch import Tensor

from workers.families.gnn.graph import Graph

DEGREES = 16  # classes of degrees: 0, 1, 2-3, 4-7, ...
DIMENSIONS, WINDOW, NEGATIVES = 32, 10, 1
LARGEST = 4096  # nodes whose walks are written as a matrix


def degree_classes(graph: Graph) -> Tensor:
    """[nodes, DEGREES]: 1 in the column of the degree's power of two."""
    powers = torch.log2(graph.degrees() + 1.0).ceil().long().clamp(max=DEGREES - 1)
    return torch.nn.functional.one_hot(powers, DEGREES).float()


def deepwalk(graph: Graph) -> Tensor:
    """[nodes, DIMENSIONS]: the node vectors of DeepWalk (B. Perozzi et al. 2014), columns of variance 1.

    Random walks of which a skip-gram with b negative samples and a window of T learns factorize, in the limit of many
    walks,

        log(vol / (b T) (P + P² + ... + P^T) D⁻¹),      P = D⁻¹ A

    so that they follow from its singular vectors, without any walk (J. Qiu et al., Network embedding as matrix
    factorization, 2018).
    """
    n = graph.nodes
    adjacency = torch.zeros(n, n, dtype=torch.float64, device=graph.edges.device)
    adjacency[graph.edges[1], graph.edges[0]] = 1
    degree = adjacency.sum(dim=1).clamp(min=1)
    step = adjacency / degree[:, None]
    walks, power = torch.zeros_like(step), torch.eye(n, dtype=step.dtype, device=step.device)
    for _ in range(WINDOW):
        power = power @ step
        walks += power
    met = walks * (degree.sum() / (NEGATIVES * WINDOW)) / degree
    u, s, _ = torch.linalg.svd(met.clamp(min=1).log())
    vectors = torch.zeros(n, DIMENSIONS, dtype=torch.float64, device=step.device)
    k = min(n, DIMENSIONS)
    vectors[:, :k] = u[:, :k] * s[:k].sqrt()
    return (vectors / vectors.std(dim=0).clamp(min=1e-9)).float()
