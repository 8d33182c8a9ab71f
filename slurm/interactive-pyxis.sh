#!/bin/bash
# python -m hpo submit --site compute2 --account compute2-LAB --partition general-interactive --ranks-per-node 4 --time 60 --interactive --container pyxis --image /storage2/fs1/LAB/Active/mpi-ml.sqsh --mount /storage2/fs1/LAB/Active:/app/store --out /storage2/fs1/LAB/Active/results

exec salloc --job-name=rismpi --account=compute2-LAB --partition=general-interactive --nodes=1 --ntasks-per-node=4 --cpus-per-task=1 --mem=16G --time=60 srun --mpi=pmi2 --kill-on-bad-exit=1 --container-image=/storage2/fs1/LAB/Active/mpi-ml.sqsh --container-mounts=/storage2/fs1/LAB/Active:/app/store --container-workdir=/app --container-env=PMI_RANK /usr/bin/python3 /app/rismpi.py --out /app/store/results
