"""Pentimento in GIMP 3: procedures, dialogs, and GIMP images as documents of the controller."""
