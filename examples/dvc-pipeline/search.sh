#!/bin/sh
# sh search.sh OUT: the search, on NP ranks of this machine (2). With options of `hpo submit` in
# SUBMIT it runs as a job of the cluster, which is waited for.
set -eu
out=$1
set -- --data data/train.csv --space params.yaml:train

if [ -n "${SUBMIT-}" ]; then
  # shellcheck disable=SC2086 # they are several words
  exec python -m hpo submit --wait --out "$out" $SUBMIT -- "$@"
fi
exec mpirun -np "${NP:-2}" python -m hpo search --out "$out" "$@"
