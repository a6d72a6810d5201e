"""What numbers mean: curves, costs, comparisons. Functions of arrays and floats; nothing is read or written here."""
