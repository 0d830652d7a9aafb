"""Programs that a person starts: commands, the web page, benchmarks and Beam pipelines."""
