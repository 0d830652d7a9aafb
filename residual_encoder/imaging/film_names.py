"""Suffixes of films, for modules that only name files: PyAV is not loaded."""

READABLE = frozenset(
    ".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .wmv .flv .ts .mts .m2ts .3gp .ogv .vob .dv .asf "
    ".divx .f4v .m2v .mxf".split()
)
WRITABLE = frozenset({".mp4", ".mov", ".mkv", ".webm"})
