"""Whether what moved is rounding or a dependence."""
