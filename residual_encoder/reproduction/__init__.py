"""The experiments of the article and of the systems beside it, and what came of their claims."""
