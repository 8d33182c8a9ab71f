#!/bin/bash
# python -m hpo submit --site compute2 --account compute2-LAB --gpus-per-node 1 --ranks-per-node 4 --time 240 --container pyxis --image /storage2/fs1/LAB/Active/mpi-ml-gpu.sqsh --mount /storage2/fs1/LAB/Active:/app/store --out /storage2/fs1/LAB/Active/results

#SBATCH --job-name=rismpigpu
#SBATCH --account=compute2-LAB
#SBATCH --partition=general-gpu
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=1
#SBATCH --mem=16G
#SBATCH --gpus-per-node=1
#SBATCH --time=240
#SBATCH --output=rismpigpu-%j.out
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
srun --mpi=pmi2 --kill-on-bad-exit=1 --container-image=/storage2/fs1/LAB/Active/mpi-ml-gpu.sqsh --container-mounts=/storage2/fs1/LAB/Active:/app/store --container-workdir=/app --container-env=PMI_RANK /usr/bin/python3 /app/rismpigpu.py --out /app/store/results &
launcher=$!
while kill -0 "$launcher" 2>/dev/null; do wait "$launcher"; done

# 0: finished. 75: go on. 1: no trial got on, nor would it in another job.
srun --nodes=1 --ntasks=1 --container-image=/storage2/fs1/LAB/Active/mpi-ml-gpu.sqsh --container-mounts=/storage2/fs1/LAB/Active:/app/store --container-workdir=/app /usr/bin/python3 -m hpo status /app/store/results --go-on --since "$began"; code=$?
[ -z "$cancelled" ] || exit 143
[ "$code" != 75 ] || scontrol requeue "$SLURM_JOB_ID"
exit "$code"
