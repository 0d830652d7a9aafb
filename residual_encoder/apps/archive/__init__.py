"""Coloring and sharding of large collections with Apache Beam."""
