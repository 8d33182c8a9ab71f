#!/bin/bash
# python -m hpo submit --site compute2 --account compute2-LAB --partition general-short --ranks-per-node 16 --time 30 --links 4 --container pyxis --image /storage2/fs1/LAB/Active/mpi-ml.sqsh --mount /storage2/fs1/LAB/Active:/app/store --out /storage2/fs1/LAB/Active/results

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

began=$(date +%s)
# One link of a chain: the others are submitted with --dependency=afterany:ID of the one before.
# 75: go on. Else the link before has finished, or got nowhere.
srun --nodes=1 --ntasks=1 --container-image=/storage2/fs1/LAB/Active/mpi-ml.sqsh --container-mounts=/storage2/fs1/LAB/Active:/app/store --container-workdir=/app /usr/bin/python3 -m hpo status /app/store/results --go-on; code=$?
[ "$code" = 75 ] || exit "$code"

# USR1 comes before the time limit: the search saves and ends.
trap 'kill -USR1 "$launcher"' USR1
trap 'kill -USR1 "$launcher"; cancelled=1' TERM INT
srun --mpi=pmi2 --kill-on-bad-exit=1 --container-image=/storage2/fs1/LAB/Active/mpi-ml.sqsh --container-mounts=/storage2/fs1/LAB/Active:/app/store --container-workdir=/app --container-env=PMI_RANK /usr/bin/python3 /app/rismpi.py --out /app/store/results &
launcher=$!
while kill -0 "$launcher" 2>/dev/null; do wait "$launcher"; done

# 0: finished. 75: go on. 1: no trial got on, nor would it in another job.
srun --nodes=1 --ntasks=1 --container-image=/storage2/fs1/LAB/Active/mpi-ml.sqsh --container-mounts=/storage2/fs1/LAB/Active:/app/store --container-workdir=/app /usr/bin/python3 -m hpo status /app/store/results --go-on --since "$began"; code=$?
[ -z "$cancelled" ] || exit 143
exit "$code"
