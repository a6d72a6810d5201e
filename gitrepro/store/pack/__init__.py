"""Our own loose objects into packs of our own, before `git gc --auto` would stop the user for them.

A run is some ten objects, each a file; Git's automatic gc begins at about 6,700 of them, in the middle of somebody's
`git commit`. So a fold that finds enough of them starts a process of its own, in the background, that packs what
gitrepro wrote: what the run ref holds, the commits that keep code alive, and snapshots. It may be killed at any point,
and it never touches a pack that it did not make.
"""
