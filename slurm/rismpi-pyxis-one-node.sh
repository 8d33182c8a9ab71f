#!/bin/bash
# python -m hpo submit --site compute2 --account compute2-LAB --ranks-per-node 16 --time 240 --launcher mpirun --container pyxis --image /storage2/fs1/LAB/Active/mpi-ml.sqsh --mount /storage2/fs1/LAB/Active:/app/store --mount /run/munge:/run/munge --out /storage2/fs1/LAB/Active/results

#SBATCH --job-name=rismpi
#SBATCH --account=compute2-LAB
#SBATCH --partition=general-cpu
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=16
#SBATCH --cpus-per-task=1
#SBATCH --mem=64G
#SBATCH --time=240
#SBATCH --output=rismpi-%j.out
#SBATCH --signal=B:USR1@120
#SBATCH --open-mode=append
#SBATCH --container-image=/storage2/fs1/LAB/Active/mpi-ml.sqsh
#SBATCH --container-mounts=/storage2/fs1/LAB/Active:/app/store,/run/munge:/run/munge
#SBATCH --container-workdir=/app
#SBATCH --container-env=SLURM_CONF
#SBATCH --no-requeue

began=$(date +%s)

# USR1 comes before the time limit: the search saves and ends.
trap 'kill -USR1 "$launcher"' USR1
trap 'kill -USR1 "$launcher"; cancelled=1' TERM INT
/usr/local/bin/mpirun -launcher fork -np 16 /usr/bin/python3 /app/rismpi.py --out /app/store/results &
launcher=$!
while kill -0 "$launcher" 2>/dev/null; do wait "$launcher"; done

# 0: finished. 75: go on. 1: no trial got on, nor would it in another job.
/usr/bin/python3 -m hpo status /app/store/results --go-on --since "$began"; code=$?
[ -z "$cancelled" ] || exit 143
exit "$code"
