"""Parts that playbooks' steps run as modules (`python -m playbooks.parts.swap ...`); the catalog does not read them."""
