#!/usr/bin/env bash
# Builds the images postrider-test/kafka:local and postrider-test/redis:local from
# what this machine has, so that the tests run in containers where no image can
# be pulled: FROM scratch, a Java runtime, the jars, redis-server, and the shared
# libraries that ldd finds. As root it installs what is missing.
set -euo pipefail
cd "$(dirname "$0")"

# install COMMAND PACKAGE: makes sure that there is such a command.
install() {
	command -v "$1" >/dev/null && return
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "build.sh: $1 is missing (Debian and Ubuntu: apt-get install $2)" >&2
		return 1
	fi
	apt-get update -q
	# RUNLEVEL=1 keeps the package from starting its server.
	DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -q -y --no-install-recommends "$2"
}

# libraries ROOT FILE...: copies the shared libraries of the files into ROOT, at
# the paths they have here; those that stand beside the files are there already.
libraries() {
	local root=$1
	shift
	ldd "$@" 2>/dev/null | grep -oE '/[^ ]+\.so[^ ]*' | grep -vE ':$' | sort -u | while read -r library; do
		case $library in "$root"/*) ;; *) cp -L --parents "$library" "$root" ;; esac
	done
}

# runtime DIR: a Java runtime with the modules that a broker uses; where the JDK
# has no modules to link, a copy of the installed runtime.
runtime() {
	local home
	install jlink openjdk-17-jdk-headless
	home=$(dirname "$(dirname "$(readlink -f "$(command -v jlink)")")")
	if [ -d "$home/jmods" ]; then
		jlink --output "$1" --no-header-files --no-man-pages --strip-debug --add-modules \
			java.base,java.compiler,java.desktop,java.logging,java.management,java.naming,java.net.http,java.security.jgss,java.security.sasl,java.sql,java.xml,jdk.crypto.ec,jdk.management,jdk.unsupported
	else
		cp -rL "$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")" "$1"
	fi
}

build_kafka() {
	local root=$work/kafka/rootfs jars
	jars=$(go run ./jars)
	mkdir -p "$root/opt/kafka" "$root/var/lib/kafka/data" "$root/mnt/shared/config" "$root/tmp"
	cp -r "$jars" "$root/opt/kafka/jars"
	cp ../kafkatest/log4j2.properties "$root/opt/kafka/"
	runtime "$root/opt/java"
	CGO_ENABLED=0 go build -trimpath -ldflags=-s -o "$root/entrypoint" ./entrypoint
	# The compression libraries inside the jars want the C++ runtime as well.
	libraries "$root" "$root/opt/java/bin/java" "$root/opt/java/lib/"*.so "$root/opt/java/lib/server/"*.so \
		"$(command -v apt-get || command -v ldd)"
	cp kafka/Dockerfile "$work/kafka/"
	docker build --quiet --tag postrider-test/kafka:local "$work/kafka"
}

build_redis() {
	local root=$work/redis/rootfs
	install redis-server redis-server
	mkdir -p "$root/usr/bin"
	cp -L "$(command -v redis-server)" "$root/usr/bin/redis-server"
	libraries "$root" "$root/usr/bin/redis-server"
	cp redis/Dockerfile "$work/redis/"
	docker build --quiet --tag postrider-test/redis:local "$work/redis"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build_kafka
build_redis
