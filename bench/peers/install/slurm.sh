#!/bin/sh
# Slurm, as the distribution has it: slurmctld, slurmd, the client commands and munge. Starts no service; the bench starts
# its own daemons with its own configuration. Run as root. Does nothing where everything is there already.
set -eu

have() {
  PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1
}

if have munged && have slurmctld && have slurmd && have sbatch && have setpriv; then
  echo "slurm: $(PATH="$PATH:/usr/sbin" slurmctld -V) is there already"
  exit 0
fi
if ! have apt-get; then
  echo 'slurm: only Debian and its kin are served here; install slurmctld, slurmd, the client commands and munge by hand' >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo 'slurm: installing packages needs root: run this again as root' >&2
  exit 1
fi

# Packages start their services when they are installed, unless this says no. It is put back as it was.
policy=/usr/sbin/policy-rc.d
made=no
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  made=yes
fi
trap '[ "$made" = no ] || rm -f "$policy"' EXIT
export DEBIAN_FRONTEND=noninteractive
apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge util-linux ||
  { apt-get update && apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge util-linux; }
echo "slurm: $(PATH="$PATH:/usr/sbin" slurmctld -V)"
