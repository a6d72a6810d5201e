"""The configuration of a program that says nothing of it to us: seen where its own libraries make it.

These files are loaded into the interpreter of the program that is recorded, under a name of their own, where gitrepro
may not be installed: standard library only, nothing of gitrepro but each other, the syntax of Python 3.8, and never an
error of ours in the program. Each library's file is loaded when the program imports that library, not before.
"""
