"""Faults in bulk: kills, full disks, damaged files and crowds, judged by an oracle that knows no gitrepro.

`python -m tests.torture --all` runs the full counts; the tests here run about a twentieth of them. Every case has a
control: a program with a planted fault, which the same oracle must find.
"""
