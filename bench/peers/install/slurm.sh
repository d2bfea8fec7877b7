# Slurm, as Debian has it: slurmctld, slurmd, the client commands and munge. The bench starts its own daemons with its own
# configuration.
set -u
. "$(dirname -- "$0")/_debian.sh"

PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

missing() {
  for program in munged slurmctld slurmd sbatch setpriv; do
    command -v "$program" >/dev/null 2>&1 || { echo "$program"; return; }
  done
}

packages='slurmctld slurmd slurm-client munge util-linux'
if [ -n "$(missing)" ]; then
  no=$(no_packages)
  if [ -n "$no" ]; then
    echo "slurm: skipped, $no; have the packages $packages installed, then run this again"
    exit 0
  fi
  # shellcheck disable=SC2086 # several names
  if ! install_packages $packages; then
    echo "slurm: skipped, Debian's packages could not be installed, see $cache/apt.log"
    exit 0
  fi
fi
lacking=$(missing)
if [ -n "$lacking" ]; then
  echo "slurm: skipped, $lacking is in no folder of the PATH; install it there, then run this again"
else
  note=
  [ "$(id -u)" = 0 ] || note='; run its bench as root, which slurmd wants'
  echo "slurm: $(slurmctld -V | sed 's/^slurm[^ ]* //') ($(command -v slurmctld))$note"
fi
