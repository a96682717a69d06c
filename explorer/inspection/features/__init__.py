"""Folders of photos as vectors: the cache, embeddings, probes, likeness of two models (CKA)."""
