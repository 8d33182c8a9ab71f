#!/bin/bash
# python -m hpo submit --site compute2 --account compute2-LAB --script mpitest.py --partition general-short --nodes 2 --time 5 --container pyxis --image /storage2/fs1/LAB/Active/mpi-ml.sqsh --mount /storage2/fs1/LAB/Active:/app/store --out /storage2/fs1/LAB/Active/mpitest-out

#SBATCH --job-name=mpitest
#SBATCH --account=compute2-LAB
#SBATCH --partition=general-short
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=5
#SBATCH --output=mpitest-%j.out
#SBATCH --no-requeue

# Over UCX, MPICH's addresses may be longer than what Slurm's PMI reads at once.
export MPIR_CVAR_CH4_NETMOD="${MPIR_CVAR_CH4_NETMOD:-ofi}"

srun --mpi=pmi2 --kill-on-bad-exit=1 --container-image=/storage2/fs1/LAB/Active/mpi-ml.sqsh --container-mounts=/storage2/fs1/LAB/Active:/app/store --container-workdir=/app --container-env=PMI_RANK /usr/bin/python3 /app/mpitest.py /app/store/mpitest-out
