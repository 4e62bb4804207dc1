"""Layers: each file declares its parameters (`specs`) and applies them.

Shape letters: B batch or slots, T positions, S keys, D width, H query heads, K key
heads, G = H / K, E head size, R relative size, X experts, F expert width, V vocabulary.
"""
