#!/bin/bash
# python -m hpo submit --site compute2 --account compute2-LAB --partition general-short --ranks-per-node 16 --time 30 --links 4 --setup 'source .venv/bin/activate'

#SBATCH --job-name=rismpi
#SBATCH --account=compute2-LAB
#SBATCH --partition=general-short
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=16
#SBATCH --cpus-per-task=1
#SBATCH --mem=64G
#SBATCH --time=30
#SBATCH --output=rismpi-%j.out
#SBATCH --signal=B:USR1@120
#SBATCH --open-mode=append
#SBATCH --no-requeue

source .venv/bin/activate

began=$(date +%s)
# One link of a chain: the others are submitted with --dependency=afterany:ID of the one before.
# 75: go on. Else the link before has finished, or got nowhere.
python -m hpo status results --go-on; code=$?
[ "$code" = 75 ] || exit "$code"

# USR1 comes before the time limit: the search saves and ends.
trap 'kill -USR1 "$launcher"' USR1
trap 'kill -USR1 "$launcher"; cancelled=1' TERM INT
srun --mpi=pmi2 --kill-on-bad-exit=1 python rismpi.py --out results &
launcher=$!
while kill -0 "$launcher" 2>/dev/null; do wait "$launcher"; done

# 0: finished. 75: go on. 1: no trial got on, nor would it in another job.
python -m hpo status results --go-on --since "$began"; code=$?
[ -z "$cancelled" ] || exit 143
exit "$code"
