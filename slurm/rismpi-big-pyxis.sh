#!/bin/bash
# python -m hpo submit --site compute2 --account compute2-LAB --nodes 16 --memory-per-rank 32GB --time 1440 --container pyxis --image /storage2/fs1/LAB/Active/mpi-ml.sqsh --mount /storage2/fs1/LAB/Active:/app/store --out /storage2/fs1/LAB/Active/results -- --space ris

#SBATCH --job-name=rismpi
#SBATCH --account=compute2-LAB
#SBATCH --partition=general-cpu
#SBATCH --nodes=16
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=32G
#SBATCH --time=1440
#SBATCH --output=rismpi-%j.out
#SBATCH --signal=B:USR1@120
#SBATCH --open-mode=append
#SBATCH --requeue

# Over UCX, MPICH's addresses may be longer than what Slurm's PMI reads at once.
export MPIR_CVAR_CH4_NETMOD="${MPIR_CVAR_CH4_NETMOD:-ofi}"

began=$(date +%s)
# MPICH names shared memory after job and step: a kill may have left this one's.
[ "${SLURM_RESTART_COUNT:-0}" = 0 ] || srun --ntasks-per-node=1 --ntasks="$SLURM_NNODES" \
  find /dev/shm -maxdepth 1 -uid "$(id -u)" -name 'mpich_*' ! -newermt "@$began" -delete

# USR1 comes before the time limit: the search saves and ends.
trap 'kill -USR1 "$launcher"' USR1
trap 'kill -USR1 "$launcher"; cancelled=1' TERM INT
srun --mpi=pmi2 --kill-on-bad-exit=1 --container-image=/storage2/fs1/LAB/Active/mpi-ml.sqsh --container-mounts=/storage2/fs1/LAB/Active:/app/store --container-workdir=/app --container-env=PMI_RANK /usr/bin/python3 /app/rismpi.py --out /app/store/results --space ris &
launcher=$!
while kill -0 "$launcher" 2>/dev/null; do wait "$launcher"; done

# 0: finished. 75: go on. 1: no trial got on, nor would it in another job.
srun --nodes=1 --ntasks=1 --container-image=/storage2/fs1/LAB/Active/mpi-ml.sqsh --container-mounts=/storage2/fs1/LAB/Active:/app/store --container-workdir=/app /usr/bin/python3 -m hpo status /app/store/results --go-on --since "$began"; code=$?
[ -z "$cancelled" ] || exit 143
[ "$code" != 75 ] || scontrol requeue "$SLURM_JOB_ID"
exit "$code"
