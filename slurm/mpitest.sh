#!/bin/bash
# python -m hpo submit --site compute2 --account compute2-LAB --script mpitest.py --out mpitest-out --partition general-short --nodes 2 --time 5 --setup 'source .venv/bin/activate'

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

source .venv/bin/activate

srun --mpi=pmi2 --kill-on-bad-exit=1 python mpitest.py mpitest-out
