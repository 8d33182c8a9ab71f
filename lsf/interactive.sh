#!/bin/bash
# python -m hpo submit --site compute1 --account compute-LAB --job-group /USER/hpo --image USER/mpi-ml --mount /storage1/fs1/LAB/Active:/app/store --out /storage1/fs1/LAB/Active/results --queue general-interactive --ranks-per-node 4 --time 60 --interactive
# Before: export LSF_DOCKER_NETWORK=host
# Before: export LSF_DOCKER_IPC=host
# Before: export LSF_DOCKER_SHM_SIZE=4g
# Before: export LSF_DOCKER_VOLUMES=/storage1/fs1/LAB/Active:/app/store

exec bsub -Is -G compute-LAB -g /USER/hpo -q general-interactive -J rismpi -n 4 -R 'affinity[core(1)] span[hosts=1] rusage[mem=16GB]' -M 16GB -W 60 -a 'docker(USER/mpi-ml)' /usr/local/bin/mpirun -np 4 /usr/bin/python3 /app/rismpi.py --out /app/store/results --time-limit 60
