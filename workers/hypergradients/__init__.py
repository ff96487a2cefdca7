"""Hyperparameters that descend on a held-out loss while a network is trained.

tuned      which they are: places in the unit cube, values, derivatives
solvers    linear systems with the Hessian
gradient   the hypergradient, from products with the second derivatives of the training loss
norms      batch norms of a network that is looked at
network    the network that is trained: its losses and slopes, where strengths are tensors
search     the state of the whole, epoch by epoch
training   the run
"""
