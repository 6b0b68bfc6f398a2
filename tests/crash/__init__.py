"""The crash harness: kill -9 everything, again and again, and look for what was lost. See docs/crash-testing.md.

python -m tests.crash --size smoke|full --seed N      exit code 1 where a promise was broken, a mutant got away, or too
                                                      little happened to tell

`play` takes one house (real processes, a database of its own) through kills, failpoints and pauses; `verdict` is what
is found afterwards; `houses` are the runs of each size, each in a process of its own.
"""
