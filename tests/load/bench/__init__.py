"""The benchmark: the broker beside the endpoints that people write instead, in turns, on this machine.

make bench          everything; writes docs/performance.md and the measured part of docs/scaling.md
make bench-quick    processor time and statements of a token, as ratios

stage      processes: the double of the Live API, the callers, the services, pinned to the cores
rounds     which loads there are, and what each costs        report, plots    what is written
"""
