# etcd: the newest release, built with Go where that is there, because it is what users run today; else Debian's. Its load
# tool is in no package, so it is built too. What is built stays in the cache until its version below changes.
set -u
. "$(dirname -- "$0")/_debian.sh"

server_version=v3.7.3
tool_version=v3.6.8

# build NAME VERSION MODULE PACKAGE [MAIN]: a program of one module, made in an empty module of its own.
build() {
  name=$1 version=$2 module=$3 package=$4 main=${5:-}
  stamp="$cache/$name.version"
  if [ -x "$cache/bin/$name" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$version" ]; then return 0; fi
  folder=$(mktemp -d) || return 1
  (
    cd "$folder" || exit 1
    go mod init daybreak-bench-peer && go get "$module@$version" || exit 1
    if [ -n "$main" ]; then
      printf '%s\n' "$main" >main.go
      go mod tidy && package=.
      [ "$package" = . ] || exit 1
    fi
    go build -o "$cache/bin/$name.new" "$package" && mv "$cache/bin/$name.new" "$cache/bin/$name"
  ) >"$cache/$name.log" 2>&1
  built=$?
  rm -rf "$folder"
  [ $built = 0 ] && echo "$version" >"$stamp"
  return $built
}

tool='without its load tool (Go is needed for that)'
why=
if command -v go >/dev/null 2>&1; then
  build etcd "$server_version" go.etcd.io/etcd/server/v3 . 'package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }' || why="building $server_version failed, see $cache/etcd.log"
  if build etcd-benchmark "$tool_version" go.etcd.io/etcd/v3/tools/benchmark go.etcd.io/etcd/v3/tools/benchmark; then
    tool="with its load tool $tool_version"
  else
    tool="without its load tool (see $cache/etcd-benchmark.log)"
  fi
fi

if [ -x "$cache/bin/etcd" ]; then
  found="$cache/bin/etcd"
else
  found=$(command -v etcd)
  if [ -z "$found" ]; then
    no=$(no_packages)
    if [ -n "$no" ]; then
      echo "etcd: skipped, $no${why:+, and $why}; install Go or the package etcd-server, then run this again"
      exit 0
    fi
    install_packages etcd-server || why="Debian's package etcd-server could not be installed, see $cache/apt.log"
    found=$(command -v etcd)
  fi
fi
if [ -z "$found" ]; then
  echo "etcd: skipped, $why; install etcd into the PATH, then run this again"
else
  version=$("$found" --version | sed -n 's/^etcd Version: //p')
  echo "etcd: $version ($found), $tool${why:+; $why}"
fi
