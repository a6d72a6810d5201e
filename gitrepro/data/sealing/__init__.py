"""A sealed test set: its labels encrypted, predictions committed before they are scored, scores told sparingly.

keys        public and private keys of age and SSH
reading     files of labels and of predictions
contents    what of a data set goes into a seal
terms       what a seal says about its scores
seals       make, hand on and open a seal
matching    predictions and labels of the same examples
predicting  commit to predictions
judging     what predictions come to, and what of it may be told
scoring     score them
checking    score again what was scored
finding     which part is meant
book        the entries of the holdout log about one part

It stops accidents, and makes cheating visible to those who hold the remote. Whoever has the labels elsewhere can
always cheat.
"""
