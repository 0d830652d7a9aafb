"""Experiments of the article and of the systems compared with it; the verdicts on their claims."""
