"""Who said it: signatures on commits of the run ref and on result tags, made and judged as Git does it."""
