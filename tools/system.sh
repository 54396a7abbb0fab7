#!/usr/bin/env bash
# Install what the tests need from the system, where it is missing: Chromium, a PostgreSQL server and Slurm.
# Without the right to install, it says what to install; the tests then skip (in CI they fail).
set -u
wanted=()
command -v chromium >/dev/null || wanted+=(chromium)
command -v postgres >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || wanted+=(postgresql)
command -v ip >/dev/null || wanted+=(iproute2)
command -v sbatch >/dev/null || wanted+=(slurm-client)
for package in slurmctld slurmd munge; do  # their programs lie where only root's PATH may look
    compgen -G "/usr/sbin/${package/%munge/munged}" >/dev/null || wanted+=("$package")
done
[ -e /usr/share/datasets/fashion-mnist ] || wanted+=(dataset-fashion-mnist)
[ ${#wanted[@]} -gt 0 ] || exit 0
if ! command -v apt-get >/dev/null; then
    echo "Please install for the tests: ${wanted[*]}"
    exit 0
fi
as=()
if [ "$(id -u)" != 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "Please install for the tests: sudo apt-get install ${wanted[*]}"
        exit 0
    fi
    as=(sudo)
fi
echo "Installing for the tests: ${wanted[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as[@]}" apt-get update -qq && "${as[@]}" apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
