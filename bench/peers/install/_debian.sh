# Sourced by the scripts beside it.

# Why packages of Debian cannot be installed here, in words; empty if they can.
no_packages() {
  if ! command -v apt-get >/dev/null 2>&1; then
    echo 'this is not a Debian'
  elif [ "$(id -u)" != 0 ]; then
    echo 'only root may install packages'
  fi
}

# install_packages NAME…: quietly, and without starting or enabling their services. What is wrong is left in $cache/apt.log.
install_packages() {
  policy=/usr/sbin/policy-rc.d
  made=
  if [ ! -e "$policy" ]; then
    # Debian's way to say that services of packages are not to be started.
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made=yes
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >"$cache/apt.log" 2>&1 ||
    { apt-get update >>"$cache/apt.log" 2>&1 &&
      DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >>"$cache/apt.log" 2>&1; }
  status=$?
  if [ -n "$made" ]; then
    rm -f "$policy"
    # They would start with the machine.
    for unit in "$@"; do
      command -v systemctl >/dev/null 2>&1 && systemctl disable "${unit%-server}" >/dev/null 2>&1
    done
  fi
  return $status
}
