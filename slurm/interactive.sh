#!/bin/bash
# python -m hpo submit --site compute2 --account compute2-LAB --partition general-interactive --ranks-per-node 4 --time 60 --interactive --setup 'source .venv/bin/activate'

source .venv/bin/activate

exec salloc --job-name=rismpi --account=compute2-LAB --partition=general-interactive --nodes=1 --ntasks-per-node=4 --cpus-per-task=1 --mem=16G --time=60 srun --mpi=pmi2 --kill-on-bad-exit=1 python rismpi.py --out results
