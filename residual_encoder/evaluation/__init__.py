"""Metrics, the evaluation of a model, tables and reports."""
