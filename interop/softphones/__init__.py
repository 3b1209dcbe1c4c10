"""Softphones that are not ours: each is a program of its own with the same command line and the same last line.

A softphone places one call (`--call NAME`) or registers and answers one (`--answer-as NAME`) over the plain JSON signaling of
`src/signaling/json.rs`, keeps both audio directions running, hangs up with its packet accounts and prints what it counted
(see `ending.py`). Every wait has a deadline (`--deadline-s` bounds the whole run), and whatever it started has ended when it
exits.
"""
