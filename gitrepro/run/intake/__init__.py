"""What an unedited program writes, taken into its run: TensorBoard events, metric files, output files.

`taking.Intake` follows the files of a run while it lasts and writes their points into a journal of its own;
`outputs.Outputs` keeps files at the end; `naming.told_apart` gives the metrics of several files names of their own.
"""
