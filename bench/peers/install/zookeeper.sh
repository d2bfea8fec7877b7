# ZooKeeper: Debian's package, and Java to run it.
set -u
. "$(dirname -- "$0")/_debian.sh"

jar=/usr/share/java/zookeeper.jar
if [ ! -e "$jar" ] || ! command -v java >/dev/null 2>&1; then
  no=$(no_packages)
  if [ -n "$no" ]; then
    echo "zookeeper: skipped, $no; have the packages libzookeeper-java, libslf4j-java and default-jre-headless installed, then run this again"
    exit 0
  fi
  if ! install_packages libzookeeper-java libslf4j-java default-jre-headless; then
    echo "zookeeper: skipped, Debian's packages could not be installed, see $cache/apt.log"
    exit 0
  fi
fi
version=$(ls /usr/share/java | sed -n 's/^zookeeper-\([0-9.]*\)\.jar$/\1/p' | head -1)
java=$(java -version 2>&1 | sed -n '1s/.*"\(.*\)".*/\1/p')
echo "zookeeper: ${version:-of unknown version} ($jar), with Java $java"
