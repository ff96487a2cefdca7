"""Densities over configs: mixtures of product kernels on the unit cube, for the samplers that compare good with bad."""
