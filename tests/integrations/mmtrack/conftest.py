import fairmot_mm.integrations.mmtrack  # noqa: F401  (makes mmtrack importable)
