"""Commands, the web page, benchmarks and Beam pipelines: what a person starts."""
