"""Dialogues for training: the synthetic world and manifests of real corpora."""
