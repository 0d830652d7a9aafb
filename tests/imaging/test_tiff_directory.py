"""Directories of TIFF structures, of both byte orders and both sizes of offsets."""

import struct

import pytest

from residual_encoder.imaging import image_metadata, tiff_directory
from residual_encoder.imaging.tiff_directory import LONG, SHORT


def classic(order, *found, start=8):
    """Entries (tag, type, form, value) behind a header."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, start)
    body = struct.pack(order + "H", len(found))
    for tag, kind, form, value in found:
        body += struct.pack(order + "HHI", tag, kind, 1) + struct.pack(order + form, value).ljust(
            4, b"\0"
        )
    return head + bytes(start - 8) + body + bytes(4)


def big(order, *found):
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HHHQ", 43, 8, 0, 16)
    body = struct.pack(order + "Q", len(found))
    for tag, kind, form, value in found:
        body += struct.pack(order + "HHQ", tag, kind, 1) + struct.pack(order + form, value).ljust(
            8, b"\0"
        )
    return head + body + bytes(8)


FOUND = [(256, SHORT, "H", 640), (257, LONG, "I", 70_000), (270, 2, "4s", b"abc\0")]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("write", [classic, big])
def test_entries_and_values(order, write):
    data = write(order, *FOUND)
    entries = list(tiff_directory.entries(data, tiff_directory.first(data)))
    assert [(entry.tag, entry.kind) for entry in entries] == [(256, SHORT), (257, LONG), (270, 2)]
    assert [tiff_directory.value(data, entry) for entry in entries] == [640, 70_000, None]
    assert image_metadata.tags(data) == {256: 640, 257: 70_000}


def test_where_the_data_ends_what_came_before_is_given():
    data = classic("<", *FOUND)[:-20]
    entries = tiff_directory.entries(data, tiff_directory.first(data))
    assert next(entries).tag == 256
    with pytest.raises(struct.error):
        list(entries)
    assert image_metadata.tags(data) == {256: 640}
    with pytest.raises(struct.error):
        tiff_directory.first(b"II*\0")


def test_of_two_orientations_none_turns_the_copy():
    """Of two entries with one tag readers take either."""
    twice = [(274, SHORT, "H", 6), (274, SHORT, "H", 8)]
    turned = image_metadata.upright(classic("<", *twice))
    assert turned == classic("<", *[(274, SHORT, "H", 1)] * 2)
