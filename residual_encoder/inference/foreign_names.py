"""Suffixes of picture and film files that are not read, or that do not tell the format."""

from __future__ import annotations

# Of kinds that are not read: what they are.
NOT_READ = {
    **dict.fromkeys(
        ".3fr .arw .cr2 .cr3 .crw .dng .erf .iiq .kdc .mrw .nef .nrw .orf .pef .raf .raw .rw2 .sr2 "
        ".srw .x3f".split(),
        "camera raw file",
    ),
    **dict.fromkeys((".psd", ".psb"), "Photoshop document"),
    **dict.fromkeys((".rm", ".rmvb"), "film"),
    **dict.fromkeys((".exr", ".hdr"), "HDR picture"),
    **{".jxl": "JPEG XL picture", ".xcf": "GIMP document", ".pdf": "PDF document"},
    **{".svg": "SVG drawing", ".djvu": "DjVu document", ".tga": "Targa picture"},
    **{".jxr": "JPEG XR picture", ".pcx": "PCX picture", ".dcm": "DICOM picture"},
}
# Names that do not tell the format, though some say that it is JPEG or animated PNG.
UNCLEAR = frozenset(("", ".jfif", ".jif", ".jfi", ".pjpeg", ".pjp", ".apng"))
