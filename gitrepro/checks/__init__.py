"""Checks of an experiment: is there a baseline, does it fall to chance, can it learn, are its data what they seem?"""
