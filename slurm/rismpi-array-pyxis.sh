#!/bin/bash
# python -m hpo submit --site compute2 --account compute2-LAB --array 16 --time 240 --container pyxis --image /storage2/fs1/LAB/Active/mpi-ml.sqsh --mount /storage2/fs1/LAB/Active:/app/store --out /storage2/fs1/LAB/Active/results

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

began=$(date +%s)
# MPICH names shared memory after job and step: a kill may have left this one's.
[ "${SLURM_RESTART_COUNT:-0}" = 0 ] || srun --ntasks-per-node=1 --ntasks="$SLURM_NNODES" \
  find /dev/shm -maxdepth 1 -uid "$(id -u)" -name 'mpich_*' ! -newermt "@$began" -delete

# USR1 comes before the time limit: the search saves and ends.
trap 'kill -USR1 "$launcher"' USR1
trap 'kill -USR1 "$launcher"; cancelled=1' TERM INT
srun --nodes=1 --ntasks=1 --container-image=/storage2/fs1/LAB/Active/mpi-ml.sqsh --container-mounts=/storage2/fs1/LAB/Active:/app/store --container-workdir=/app /usr/bin/python3 /app/rismpi.py --out /app/store/results --shard "$SLURM_ARRAY_TASK_ID/16" &
launcher=$!
while kill -0 "$launcher" 2>/dev/null; do wait "$launcher"; done

# 0: finished. 75: go on. 1: no trial got on, nor would it in another job.
srun --nodes=1 --ntasks=1 --container-image=/storage2/fs1/LAB/Active/mpi-ml.sqsh --container-mounts=/storage2/fs1/LAB/Active:/app/store --container-workdir=/app /usr/bin/python3 -m hpo status /app/store/results --go-on --shard "$SLURM_ARRAY_TASK_ID/16" --since "$began"; code=$?
[ -z "$cancelled" ] || exit 143
[ "$code" != 75 ] || scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
exit "$code"
