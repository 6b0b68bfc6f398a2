"""Whether the house is well: liveness, readiness, figures for Prometheus, and each trouble in one line."""
