#!/bin/bash
# python -m hpo submit --site compute2 --account compute2-LAB --array 16 --time 240 --setup 'source .venv/bin/activate'

#SBATCH --job-name=rismpi
#SBATCH --account=compute2-LAB
#SBATCH --partition=general-cpu
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=240
#SBATCH --array=1-16
#SBATCH --output=rismpi-%A_%a.out
#SBATCH --signal=B:USR1@120
#SBATCH --open-mode=append
#SBATCH --requeue

source .venv/bin/activate

began=$(date +%s)

# USR1 comes before the time limit: the search saves and ends.
trap 'kill -USR1 "$launcher"' USR1
trap 'kill -USR1 "$launcher"; cancelled=1' TERM INT
python rismpi.py --out results --shard "$SLURM_ARRAY_TASK_ID/16" &
launcher=$!
while kill -0 "$launcher" 2>/dev/null; do wait "$launcher"; done

# 0: finished. 75: go on. 1: no trial got on, nor would it in another job.
python -m hpo status results --go-on --shard "$SLURM_ARRAY_TASK_ID/16" --since "$began"; code=$?
[ -z "$cancelled" ] || exit 143
[ "$code" != 75 ] || scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
exit "$code"
