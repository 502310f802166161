"""Played inside Krita: the least that every other case stands on."""

import krita

APPLICATION = krita.Krita.instance()


def new_document(width, height):
    """A document in the window, with a layer on which one may paint."""
    document = APPLICATION.createDocument(width, height, "smoke", "RGBA", "U8", "", 72.0)
    APPLICATION.activeWindow().addView(document)
    return document


def case_pixels_come_back_as_they_were_written(stage):
    document = new_document(64, 48)
    yield stage.until(lambda: APPLICATION.activeDocument() == document, "the document's window")
    layer = document.createNode("paint", "paintlayer")
    document.rootNode().addChildNode(layer, None)
    pixels = bytes(range(256)) * (64 * 48 * 4 // 256)
    layer.setPixelData(pixels, 0, 0, 64, 48)
    document.refreshProjection()
    stage.shot("krita")
    return {
        "same": bytes(layer.pixelData(0, 0, 64, 48)) == pixels,
        "version": APPLICATION.version(),
        "size": [document.width(), document.height()],
    }


def case_each_case_begins_with_nothing_open(stage):
    return len(APPLICATION.documents())
