#!/bin/sh
# One configuration over several seeds, the baseline beside it, and the table.
#
#   sh examples/run.sh          seeds 0 1 2
#   sh examples/run.sh 3 4      other seeds
set -eu
cd "$(dirname "$0")/.."

[ "$#" -gt 0 ] || set -- 0 1 2

for seed in "$@"; do
    gitrepro record --group digits --seed "$seed" -- python examples/plain_torch.py --epochs 3
done
gitrepro record --group digits --kind baseline --seed 0 -- python examples/sklearn_baseline.py
gitrepro ls --group digits
