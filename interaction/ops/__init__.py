"""Array operations under the layers: one reference path each, chosen in one place."""
