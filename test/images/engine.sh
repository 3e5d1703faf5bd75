#!/usr/bin/env bash
# Runs a command with a Docker engine: engine.sh COMMAND [ARGUMENT ...]
# If one answers it is used. Else, as root, one is installed where it is missing,
# started for the command alone and stopped after it.
set -euo pipefail

state=""  # directory of the engine that this script started
engine="" # its process

answers() { docker info >/dev/null 2>&1; }

cgroups() { mountpoint -q /sys/fs/cgroup; }

install() {
	command -v dockerd >/dev/null && command -v docker >/dev/null &&
		{ cgroups || command -v cgroupfs-mount >/dev/null; } && return
	apt-get update -q
	# RUNLEVEL=1 keeps the package from starting the engine as a service.
	DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -q -y --no-install-recommends docker.io cgroupfs-mount
	# Newer releases have the client in a package of its own.
	command -v docker >/dev/null ||
		DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends docker-cli
}

# try FLAG...: starts the engine with the flags; false if it does not answer
# within a minute or ends before.
try() {
	dockerd "$@" >>"$state/dockerd.log" 2>&1 &
	engine=$!
	for _ in $(seq 240); do
		answers && return
		kill -0 "$engine" 2>/dev/null || return 1
		sleep 0.25
	done
	stop
	return 1
}

start() {
	if [ "$(id -u)" != 0 ]; then
		echo "engine.sh: no Docker engine answers; start one" >&2
		return 1
	fi
	install
	# Where no init system has done so, the engine finds no control groups.
	cgroups || cgroupfs-mount
	state=$(mktemp -d)
	# The containers here use the machine's network, so an engine without a network
	# of its own will do where the kernel has no bridge or filter.
	try && return
	try --storage-driver=vfs && return
	try --storage-driver=vfs --iptables=false --bridge=none && return
	echo "engine.sh: the engine does not start:" >&2
	tail -n 20 "$state/dockerd.log" >&2
	return 1
}

stop() {
	[ -n "$engine" ] || return 0
	kill "$engine" 2>/dev/null || true
	wait "$engine" 2>/dev/null || true
	engine=""
}

# cleanup removes what tests that crashed left in an engine that ends anyway.
cleanup() {
	if [ -n "$engine" ]; then
		docker ps --all --quiet --filter label=org.testcontainers=true | xargs -r docker rm --force >/dev/null || true
	fi
	stop
	[ -z "$state" ] || rm -rf "$state"
}

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
answers || start
"$@"
