"""How public benchmarks lie on disk: a benchmark a module."""
