"""Exports: the rows, the presentation, the files, who may have them."""
