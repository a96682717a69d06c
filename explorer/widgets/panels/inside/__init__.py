"""Inside the model: one view a file, each of which says how it asks,
what it draws and the lines that reproduce it.
"""
